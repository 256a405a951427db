//! Buffers whose type only one backbone knows.

use std::{any::Any, fmt};

/// Preallocated buffers of a backbone, for acting or for training. They grow once and are used again in every step; their
/// type is the backbone's own.
#[derive(Default)]
pub struct Workspace(Option<Box<dyn Any + Send + Sync>>);

impl Workspace {
    /// The buffers as the type that a backbone has for them; empty ones if there are none yet, or those of another type.
    pub fn buffers<T: Any + Default + Send + Sync>(&mut self) -> &mut T {
        if self.existing::<T>().is_none() {
            self.0 = Some(Box::<T>::default());
        }
        self.0.as_mut().and_then(|buffers| buffers.downcast_mut()).expect("buffers of this type")
    }

    /// The buffers, if there are any of that type.
    pub fn existing<T: Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workspace")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_stay_until_another_type_takes_their_place() {
        let mut workspace = Workspace::default();
        assert!(workspace.existing::<Vec<f32>>().is_none());
        workspace.buffers::<Vec<f32>>().push(1.0);
        assert_eq!(workspace.buffers::<Vec<f32>>(), &[1.0]);
        workspace.buffers::<Vec<f64>>();
        assert!(workspace.buffers::<Vec<f32>>().is_empty());
    }
}
