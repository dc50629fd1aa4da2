//! sidecar-init as its users have it: a process, as PID 1 of a namespace and as an ordinary one.

#[cfg(all(test, feature = "pid1"))]
mod attacks;
#[cfg(test)]
mod control;
#[cfg(all(test, feature = "pid1"))]
mod daemons;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod init;
#[cfg(all(test, feature = "pid1"))]
mod injection;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod many;
#[cfg(test)]
mod privilege;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod selection;
#[cfg(test)]
mod stops;
#[cfg(test)]
mod walls;

/// Runs each case as an ordinary process, and as PID 1 where the feature `pid1` promises the right to be one.
#[cfg(test)]
macro_rules! cases {
    ($($name:ident)*) => {
        mod ordinary {
            $(#[test]
            fn $name() {
                super::$name(crate::init::Place::Ordinary);
            })*
        }
        #[cfg(feature = "pid1")]
        mod pid1 {
            $(#[test]
            fn $name() {
                super::$name(crate::init::Place::Pid1);
            })*
        }
    };
}
#[cfg(test)]
pub(crate) use cases;
