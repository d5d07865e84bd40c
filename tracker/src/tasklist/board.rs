//! Every row of a list in little memory, and how names lead to rows: what readiness and counts are
//! computed from. 100,000 rows take about 45 MB.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;

use super::blocking::is_over;
use super::names;
use super::watching::Watching;
use crate::blocker;
use crate::interface::TrackerError;
use crate::interface::report::{Named, Reason, Row};
use crate::state::State;
use crate::store::{CreatedBytes, Reading, Rows, created_bytes, row_of};

/// How many bytes of rows are kept in one piece, so that none is ever copied to grow.
const CHUNK_BYTES: usize = 1 << 20;

/// The rank of issues whose priority is none of 1 to 4: after those.
const RANK_LAST: u8 = 5;

/// Every row of a list.
pub(super) struct Board {
    cards: Vec<Card>,
    /// The rows as they are stored.
    chunks: Vec<Vec<u8>>,
    hasher: RandomState,
    /// Hash of a name -> who has it.
    named: HashMap<u64, Bearer>,
    /// Open issues that wait for others, and the names of those.
    edges: Vec<(usize, Vec<String>)>,
}

/// What is needed of a row without decoding it.
struct Card {
    created: CreatedBytes,
    rank: u8,
    /// Whether it holds nobody up any more.
    is_over: bool,
    chunk: u32,
    start: u32,
    bytes: u32,
}

/// Who has a name.
struct Bearer {
    card: u32,
    /// Whether it is the id: an id counts before an identifier that is spelled alike.
    is_id: bool,
    /// Whether several issues have it.
    is_shared: bool,
}

/// Issues that wait for each other.
pub(super) struct Ring {
    members: Vec<usize>,
    /// The names of its members.
    pub(super) names: Vec<String>,
}

impl Board {
    /// Reads every row.
    pub(super) fn read(reading: &Reading) -> Result<Self, TrackerError> {
        let mut board = Self {
            cards: Vec::new(),
            chunks: Vec::new(),
            hasher: RandomState::new(),
            named: HashMap::new(),
            edges: Vec::new(),
        };
        reading.visit_stored_rows(&mut |key, stored| {
            board.add(created_bytes(key), row_of(stored)?, stored)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(board)
    }

    fn add(&mut self, created: CreatedBytes, row: Row, stored: &[u8]) -> Result<(), TrackerError> {
        let full = |chunk: &Vec<u8>| chunk.len() + stored.len() > CHUNK_BYTES;
        if self.chunks.last().is_none_or(full) {
            self.chunks.push(Vec::with_capacity(CHUNK_BYTES.max(stored.len())));
        }
        let at = self.cards.len();
        let chunk = self.chunks.len() - 1;
        let is_over = is_over(&row);
        let fits = |number: usize| {
            u32::try_from(number)
                .map_err(|_| TrackerError::Damaged { what: "a row is too large".to_owned() })
        };
        self.cards.push(Card {
            created,
            rank: rank(&row),
            is_over,
            chunk: fits(chunk)?,
            start: fits(self.chunks[chunk].len())?,
            bytes: fits(stored.len())?,
        });
        self.chunks[chunk].extend_from_slice(stored);
        let card = fits(at)?;
        if let Some(identifier) = row.identifier.as_deref().filter(|name| *name != row.id) {
            self.name(identifier, card, false);
        }
        self.name(&row.id, card, true);
        if !is_over && !row.blocked_by.is_empty() {
            self.edges.push((at, row.blocked_by));
        }
        Ok(())
    }

    fn name(&mut self, name: &str, card: u32, is_id: bool) {
        let bearer = Bearer { card, is_id, is_shared: false };
        match self.named.entry(self.hasher.hash_one(name)) {
            std::collections::hash_map::Entry::Vacant(free) => drop(free.insert(bearer)),
            std::collections::hash_map::Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.is_shared |= known.card != card;
                if is_id && !known.is_id {
                    (known.card, known.is_id) = (card, true);
                }
            }
        }
    }

    /// Returns the issues in the order in which work is handed out: priority 1 to 4, then the rest;
    /// oldest first; then by identifier.
    pub(super) fn in_order(&self) -> Result<Vec<usize>, TrackerError> {
        let mut order: Vec<usize> = (0..self.cards.len()).collect();
        let place = |at: &usize| (self.cards[*at].rank, self.cards[*at].created);
        order.sort_by_key(place);
        for run in order.chunk_by_mut(|a, b| place(a) == place(b)).filter(|run| run.len() > 1) {
            let mut rows = run
                .iter()
                .map(|&at| Ok((self.row(at)?, at)))
                .collect::<Result<Vec<(Row, usize)>, TrackerError>>()?;
            rows.sort_by(|(a, _), (b, _)| by_name(a, b));
            run.iter_mut().zip(rows).for_each(|(place, (_, at))| *place = at);
        }
        Ok(order)
    }

    /// Returns how many rows there are.
    pub(super) fn len(&self) -> usize {
        self.cards.len()
    }

    /// Tells whether an issue was removed or has ended.
    pub(super) fn is_over(&self, at: usize) -> bool {
        self.cards[at].is_over
    }

    /// Returns a row.
    pub(super) fn row(&self, at: usize) -> Result<Row, TrackerError> {
        let Card { chunk, start, bytes, .. } = &self.cards[at];
        let start = *start as usize;
        row_of(&self.chunks[*chunk as usize][start..start + *bytes as usize])
    }

    /// Returns the name to call an issue by.
    pub(super) fn display_name(
        &self,
        reading: &Reading,
        row: &Row,
    ) -> Result<String, TrackerError> {
        let name = row.identifier.as_deref().unwrap_or(&row.id);
        match self.named.get(&self.hasher.hash_one(name)) {
            Some(bearer) if !bearer.is_shared => Ok(name.to_owned()),
            _ => names::display_name(reading, row),
        }
    }

    fn bearer(&self, name: &str) -> Option<&Bearer> {
        self.named.get(&self.hasher.hash_one(name))
    }

    /// Tells whether the issue of this name holds nobody up any more; where several have the name,
    /// whether none of them does.
    fn is_settled(&self, reading: &Reading, name: &str) -> Result<bool, TrackerError> {
        match self.bearer(name) {
            None => Ok(false),
            Some(bearer) if !bearer.is_shared => Ok(self.cards[bearer.card as usize].is_over),
            Some(_) => {
                for key in reading.rows_named(name)? {
                    if !is_over(&names::row(reading, &key)?) {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Returns the rings of open issues that wait for each other.
    pub(super) fn rings(&self, reading: &Reading) -> Result<Vec<Ring>, TrackerError> {
        let mut edges: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, blockers) in &self.edges {
            for name in blockers {
                if let Some(bearer) = self.bearer(name)
                    && !self.is_settled(reading, name)?
                {
                    edges.entry(*at).or_default().push(bearer.card as usize);
                }
            }
        }
        let name = |at: &usize| self.display_name(reading, &self.row(*at)?);
        blocker::cycles(&edges)
            .into_iter()
            .map(|members| {
                let names = members.iter().map(name).collect::<Result<_, _>>()?;
                Ok(Ring { members, names })
            })
            .collect()
    }

    /// Returns why an open issue is not ready; `None` where it is.
    pub(super) fn reason(
        &self,
        watching: &Watching<'_, Reading>,
        at: usize,
        row: &Row,
        rings: &[Ring],
    ) -> Result<Option<Reason>, TrackerError> {
        let reading = watching.tables();
        let known = row.state.as_deref().and_then(State::parse);
        if !matches!(known, Some(State::Todo | State::InProgress)) {
            return Ok(Some(Reason::State(row.state.clone())));
        }
        if let Some(reason) = watching.reason(row)? {
            return Ok(Some(reason));
        }
        if let Some(ring) = rings.iter().find(|ring| ring.members.contains(&at)) {
            return Ok(Some(Reason::Cycle(ring.names.clone())));
        }
        let mut blockers = Vec::new();
        for name in &row.blocked_by {
            if self.is_settled(reading, name)? {
                continue;
            }
            blockers.push(match self.bearer(name) {
                Some(bearer) => {
                    let other = self.row(bearer.card as usize)?;
                    let name = self.display_name(reading, &other)?;
                    Named { name, state: other.state, known: true }
                }
                None => Named { name: name.clone(), state: None, known: false },
            });
        }
        Ok((!blockers.is_empty()).then_some(Reason::BlockedBy(blockers)))
    }
}

fn rank(row: &Row) -> u8 {
    let urgent = row.priority.and_then(|priority| u8::try_from(priority).ok());
    urgent.filter(|priority| (1..=4).contains(priority)).unwrap_or(RANK_LAST)
}

fn by_name(a: &Row, b: &Row) -> Ordering {
    fn name(row: &Row) -> &str {
        row.identifier.as_deref().unwrap_or(&row.id)
    }
    name(a).cmp(name(b)).then_with(|| a.key.cmp(&b.key))
}
