//! What an issue waits for: the elements of `blocked_by`, and cycles among them.

use std::collections::BTreeMap;

/// Returns the name in one element of `blocked_by`: a string, or an object with an id or identifier.
pub fn name_of(json: &str) -> Option<String> {
    match serde_json::from_str::<serde_json::Value>(json).ok()? {
        serde_json::Value::String(name) => Some(name.trim().to_owned()).filter(|n| !n.is_empty()),
        serde_json::Value::Object(fields) => {
            let name = fields.get("id").or_else(|| fields.get("identifier"))?;
            Some(name.as_str()?.to_owned())
        }
        _ => None,
    }
}

/// Returns the cycles of a graph given as edges `waits for`, each with its members in order.
///
/// Strongly connected components of more than one node, and nodes that wait for themselves
/// (Tarjan, "Depth-first search and linear graph algorithms", 1972). Iterative, so that a chain of
/// any length is safe.
pub fn cycles(edges: &BTreeMap<usize, Vec<usize>>) -> Vec<Vec<usize>> {
    let mut search = Search::default();
    for &node in edges.keys() {
        if !search.index.contains_key(&node) {
            search.from(node, edges);
        }
    }
    search.found
}

#[derive(Default)]
struct Search {
    index: BTreeMap<usize, usize>,
    low: BTreeMap<usize, usize>,
    stack: Vec<usize>,
    on_stack: std::collections::BTreeSet<usize>,
    found: Vec<Vec<usize>>,
}

impl Search {
    fn from(&mut self, start: usize, edges: &BTreeMap<usize, Vec<usize>>) {
        let mut path = vec![(start, 0)];
        self.enter(start);
        while let Some(&mut (node, ref mut next)) = path.last_mut() {
            let targets = edges.get(&node).map_or(&[][..], Vec::as_slice);
            if let Some(&target) = targets.get(*next) {
                *next += 1;
                if !self.index.contains_key(&target) {
                    self.enter(target);
                    path.push((target, 0));
                } else if self.on_stack.contains(&target) {
                    let low = self.low[&node].min(self.index[&target]);
                    self.low.insert(node, low);
                }
                continue;
            }
            path.pop();
            if let Some(&(parent, _)) = path.last() {
                let low = self.low[&parent].min(self.low[&node]);
                self.low.insert(parent, low);
            }
            if self.low[&node] == self.index[&node] {
                self.leave(node, targets.contains(&node));
            }
        }
    }

    fn enter(&mut self, node: usize) {
        let index = self.index.len();
        self.index.insert(node, index);
        self.low.insert(node, index);
        self.stack.push(node);
        self.on_stack.insert(node);
    }

    fn leave(&mut self, node: usize, waits_for_itself: bool) {
        let mut members = Vec::new();
        while let Some(member) = self.stack.pop() {
            self.on_stack.remove(&member);
            members.push(member);
            if member == node {
                break;
            }
        }
        if members.len() > 1 || waits_for_itself {
            members.reverse();
            self.found.push(members);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(usize, usize)]) -> BTreeMap<usize, Vec<usize>> {
        let mut graph: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry(*from).or_default().push(*to);
        }
        graph
    }

    #[test]
    fn cycles_are_found_and_chains_are_not() {
        assert!(cycles(&graph(&[(1, 2), (2, 3), (1, 3)])).is_empty());
        assert_eq!(cycles(&graph(&[(1, 2), (2, 1), (3, 1)])), vec![vec![1, 2]]);
        assert_eq!(cycles(&graph(&[(5, 5)])), vec![vec![5]]);
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let edges: Vec<(usize, usize)> = (0..200_000).map(|i| (i, (i + 1) % 200_000)).collect();
        assert_eq!(cycles(&graph(&edges))[0].len(), 200_000);
    }

    #[test]
    fn an_element_may_be_a_string_or_an_object() {
        assert_eq!(name_of("\"X0X-1\"").as_deref(), Some("X0X-1"));
        assert_eq!(name_of("{\"id\":\"a\",\"state\":\"todo\"}").as_deref(), Some("a"));
        assert_eq!(name_of("7"), None);
    }
}
