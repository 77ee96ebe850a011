//! The directories that a guest begins with: the mounts in their order, and last the private `/tmp` if there is one.

/// Which descriptors they have. In modules these are numbers of their own; components are given handles for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preopens {
    mounts: usize,
    has_tmp: bool,
    /// Numbers that have come to mean something else.
    moved: Vec<u32>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preopen {
    /// The mount of this index.
    Mount(usize),
    Tmp,
}

impl Preopens {
    pub(crate) fn new(mounts: usize, has_tmp: bool) -> Self {
        Self { mounts, has_tmp, moved: Vec::new() }
    }

    /// How many there are.
    #[cfg_attr(
        not(feature = "compiler"),
        expect(dead_code, reason = "only a start-up is looked at for what it has open")
    )]
    pub(crate) fn count(&self) -> usize {
        self.mounts + usize::from(self.has_tmp)
    }

    /// The one that has the number `fd`.
    pub(crate) fn get(&self, fd: u32) -> Option<Preopen> {
        if self.moved.contains(&fd) {
            return None;
        }
        match fd.checked_sub(FIRST_PREOPEN)? as usize {
            index if index < self.mounts => Some(Preopen::Mount(index)),
            index if index == self.mounts && self.has_tmp => Some(Preopen::Tmp),
            _ => None,
        }
    }

    /// The script has closed the descriptor `fd`, or put something else in its place.
    pub(crate) fn moved(&mut self, fd: u32) {
        if self.get(fd).is_some() {
            self.moved.push(fd);
        }
    }
}

/// They come after stdin, stdout and stderr.
pub(crate) const FIRST_PREOPEN: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_come_after_the_streams_and_tmp_after_the_mounts() {
        let mut preopens = Preopens::new(2, true);
        assert_eq!(preopens.count(), 3);
        let all: Vec<_> = (0..8).map(|fd| preopens.get(fd)).collect();
        let [first, second, tmp] = [Preopen::Mount(0), Preopen::Mount(1), Preopen::Tmp].map(Some);
        assert_eq!(all, [None, None, None, first, second, tmp, None, None]);
        assert_eq!(Preopens::new(2, false).get(5), None);

        // A number that was given back may be another file's.
        for fd in [4, 4, 9, 0] {
            preopens.moved(fd);
        }
        assert_eq!((preopens.get(4), preopens.get(5), preopens.moved.len()), (None, tmp, 1));
    }
}
