//! A new document made straight from its fields: the change is encoded without building the
//! document around it, which is most of what importing a file costs.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use automerge::legacy::{Key, ObjectId, Op, OpType, SortedVec};
use automerge::{ActorId, Change, ExpandedChange, ScalarValue};

use super::elements::{self, Element, ListOp};
use super::read::{Maps, assemble};
use super::{Birth, Content, Edit, Heads, scalar, schema, version_of};
use crate::claim::Tree;
use crate::id::LogId;
use crate::timestamp::Timestamp;

/// A document of two changes: its genesis, and the one that gives it its fields.
#[derive(Clone, Debug)]
pub struct Created {
    /// The bytes of the genesis change.
    pub genesis: Vec<u8>,
    /// The bytes of the change after it.
    pub change: Vec<u8>,
    /// The heads of the document.
    pub heads: Heads,
    /// What the document says.
    pub content: Content,
}

/// Returns the document that an edit of an empty one makes; the same as writing the edit to
/// [`super::Document::new`], byte for byte.
pub fn create(birth: &Birth, edit: &Edit, log: LogId, at: Timestamp) -> Created {
    let genesis = birth.change();
    let change = Change::from(ExpandedChange {
        operations: operations(birth, edit),
        actor_id: ActorId::from(&log.to_bytes()[..]),
        hash: None,
        seq: 1,
        start_op: NonZeroU64::new(birth.next_op()).unwrap_or(NonZeroU64::MIN),
        time: at.0.div_euclid(1_000),
        message: None,
        deps: vec![genesis.hash()],
        extra_bytes: Vec::new(),
        author: None,
    });
    let heads = vec![change.hash().0];
    let lists = edit
        .elements
        .iter()
        .map(|(name, ops)| (name.clone(), sorted(ops)))
        .filter(|(_, list)| !list.is_empty())
        .collect();
    let registers = edit
        .registers
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect();
    let maps = Maps { registers, lists, tree: Tree::default() };
    let content = assemble(birth, maps, BTreeMap::new(), version_of(&heads));
    let bytes = |change: &Change| change.raw_bytes().to_vec();
    Created { genesis: bytes(&genesis), change: bytes(&change), heads, content }
}

fn operations(birth: &Birth, edit: &Edit) -> Vec<Op> {
    let mut operations = Vec::new();
    let mut put = |map: &str, key: &str, value: ScalarValue| {
        let Some(obj) = birth.map_op(map) else { return };
        operations.push(Op {
            action: OpType::Put(value),
            obj: ObjectId::Id(obj),
            key: Key::Map(key.into()),
            pred: SortedVec::new(),
            insert: false,
        });
    };
    for (name, value) in &edit.registers {
        if let Some(json) = value {
            put(schema::FIELDS_MAP, name, scalar::from_json(json));
        }
    }
    for (name, ops) in &edit.elements {
        for op in ops {
            if let ListOp::Put(element) = op {
                put(name, &element.key, ScalarValue::Str(elements::encode(element).into()));
            }
        }
    }
    operations
}

fn sorted(ops: &[ListOp]) -> Vec<Element> {
    let puts = ops.iter().filter_map(|op| match op {
        ListOp::Put(element) => Some(element.clone()),
        _ => None,
    });
    let mut list: Vec<Element> = puts.collect();
    elements::sort(&mut list);
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::id::AgentId;

    #[test]
    fn it_is_what_writing_the_edit_to_an_empty_document_makes() {
        let birth = Birth { id: "A-1".to_owned(), created_at: Some("\"2026\"".to_owned()) };
        let log = LogId { agent: AgentId([3; 32]), nonce: [4; 8] };
        let at = Timestamp(1_700_000_000_123);
        let mut document = Document::new(birth.clone());
        let empty = document.read();
        let mut edit = Edit::default();
        for (name, json) in [
            ("title", "\"t\""),
            ("labels", "[\"a\",\"b\"]"),
            ("links", "[]"),
            ("n", "1e3"),
            ("comments", "[{\"at\":\"2\"},{\"at\":\"1\"}]"),
            ("validation", "\"lone\""),
            ("conflicts", "{\"title\":[\"u\"]}"),
        ] {
            edit.set(&empty, name, Some(json));
        }
        let created = create(&birth, &edit, log, at);
        let change = document.write(&edit, log, at).unwrap().unwrap();
        assert_eq!(created.genesis, document.genesis_bytes());
        assert_eq!(created.change, change);
        assert_eq!(created.heads, document.heads());
        let content = document.read();
        assert_eq!(created.content.issue, content.issue);
        assert_eq!(created.content.lists, content.lists);
        assert_eq!(created.content.registers, content.registers);
    }
}
