//! A member that lies. It runs a hub, so that it is linked and believed, and says besides what no honest
//! node says.

use x0x::hub::Effect;

use crate::world::World;

impl World {
    /// Returns what a lying node does instead of an effect.
    pub fn instead(&mut self, _node: usize, effect: Effect) -> Option<Effect> {
        Some(effect)
    }

    pub fn lie(&mut self, _node: usize) {}
}
