//! Places that tenants share: half of them is guaranteed, by share, and the other half goes to whoever asks.
//!
//! Pure: who has how many, and whether one more may be taken. It knows no clock, no waiting, no lock.

/// The places.
#[derive(Debug)]
pub(super) struct Pot {
    total: usize,
    free: usize,
    /// Guaranteed to somebody who has not taken them.
    owed: usize,
    /// By the number of the tenant; nothing where there is none any more.
    tenants: Vec<Option<Cut>>,
}

#[derive(Debug, Clone, Copy)]
struct Cut {
    share: usize,
    /// The most it may take.
    most: usize,
    guaranteed: usize,
    taken: usize,
}

impl Pot {
    pub(super) fn new(total: usize) -> Self {
        Self { total, free: total, owed: 0, tenants: Vec::new() }
    }

    /// A new tenant, or new settings of one that is there.
    pub(super) fn set(&mut self, tenant: usize, share: usize, most: usize) {
        if self.tenants.len() <= tenant {
            self.tenants.resize(tenant + 1, None);
        }
        if let Some(place) = self.tenants.get_mut(tenant) {
            let taken = place.map_or(0, |cut| cut.taken);
            *place = Some(Cut { share: share.max(1), most, guaranteed: 0, taken });
        }
        self.guarantee();
    }

    /// The tenant has nothing any more, and comes no more.
    pub(super) fn remove(&mut self, tenant: usize) {
        if let Some(place) = self.tenants.get_mut(tenant) {
            *place = None;
        }
        self.guarantee();
    }

    /// Not if there is none, it has its most, or what is left is what others are owed.
    pub(super) fn may_take(&self, tenant: usize) -> bool {
        let Some(Some(cut)) = self.tenants.get(tenant) else { return false };
        let is_owed = cut.taken < cut.guaranteed;
        cut.taken < cut.most && self.free > 0 && (is_owed || self.free > self.owed)
    }

    /// Takes a place, if it may.
    pub(super) fn take(&mut self, tenant: usize) -> bool {
        if !self.may_take(tenant) {
            return false;
        }
        let Some(Some(cut)) = self.tenants.get_mut(tenant) else { return false };
        let is_owed = cut.taken < cut.guaranteed;
        cut.taken += 1;
        self.free -= 1;
        self.owed -= usize::from(is_owed);
        true
    }

    pub(super) fn give_back(&mut self, tenant: usize) {
        let Some(Some(cut)) = self.tenants.get_mut(tenant) else { return };
        cut.taken = cut.taken.saturating_sub(1);
        self.free = (self.free + 1).min(self.total);
        self.owed += usize::from(cut.taken < cut.guaranteed);
    }

    pub(super) fn free(&self) -> usize {
        self.free
    }

    /// Divides half of the places: one for each, and what is left by share. Where there are fewer than two for each tenant,
    /// nothing is guaranteed.
    fn guarantee(&mut self) {
        let cuts = self.tenants.iter().flatten();
        let (count, shares) =
            cuts.fold((0, 0_usize), |(count, shares), cut| (count + 1, shares.saturating_add(cut.share)));
        let rest = (self.total / 2).checked_sub(count);
        self.owed = 0;
        for cut in self.tenants.iter_mut().flatten() {
            let of_rest =
                |rest: usize| usize::try_from(rest as u128 * cut.share as u128 / shares as u128).unwrap_or(rest);
            cut.guaranteed = rest.map_or(0, |rest| 1 + of_rest(rest)).min(cut.most);
            self.owed += cut.guaranteed.saturating_sub(cut.taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(pot: &mut Pot, tenant: usize) -> usize {
        std::iter::from_fn(|| pot.take(tenant).then_some(())).count()
    }

    #[test]
    fn a_lone_one_has_all_but_what_others_are_owed() {
        let mut pot = Pot::new(128);
        pot.set(0, 1, usize::MAX);
        assert_eq!(taken(&mut pot, 0), 128);
        for _ in 0..128 {
            pot.give_back(0);
        }
        pot.set(1, 3, usize::MAX);
        // Of 64 one each, and of the rest a quarter and three.
        assert_eq!(taken(&mut pot, 0), 128 - (1 + 62 * 3 / 4));
        assert_eq!(taken(&mut pot, 1), 1 + 62 * 3 / 4);
        assert_eq!(pot.free(), 0);
    }

    #[test]
    fn with_few_places_nothing_is_guaranteed() {
        let mut pot = Pot::new(3);
        pot.set(0, 1, usize::MAX);
        pot.set(1, 1, usize::MAX);
        assert_eq!((taken(&mut pot, 0), taken(&mut pot, 1)), (3, 0));
        pot.give_back(0);
        assert!(pot.take(1));
    }

    #[test]
    fn nobody_has_more_than_its_most() {
        let mut pot = Pot::new(16);
        pot.set(0, 100, 2);
        pot.set(1, 1, usize::MAX);
        assert_eq!(taken(&mut pot, 0), 2);
        assert_eq!(taken(&mut pot, 1), 14);
    }

    #[test]
    fn who_leaves_is_owed_nothing() {
        let mut pot = Pot::new(8);
        pot.set(0, 1, usize::MAX);
        pot.set(1, 1, usize::MAX);
        assert_eq!(taken(&mut pot, 0), 6);
        pot.remove(1);
        assert_eq!(taken(&mut pot, 0), 2);
        assert!(!pot.take(1));
    }

    proptest! {
        #[test]
        fn whoever_has_less_than_it_is_owed_may_always_take(
            total in 1_usize..64,
            tenants in prop::collection::vec((1_usize..9, 1_usize..40), 1..12),
            steps in prop::collection::vec((0_usize..12, any::<bool>()), 0..200),
        ) {
            let mut pot = Pot::new(total);
            for (tenant, (share, most)) in tenants.iter().enumerate() {
                pot.set(tenant, *share, *most);
            }
            for (tenant, takes) in steps {
                let Some(Some(cut)) = pot.tenants.get(tenant).copied() else { continue };
                if takes {
                    let took = pot.take(tenant);
                    prop_assert!(took || cut.taken >= cut.guaranteed);
                } else if cut.taken > 0 {
                    pot.give_back(tenant);
                }
                let all: usize = pot.tenants.iter().flatten().map(|cut| cut.taken).sum();
                let owed: usize = pot.tenants.iter().flatten().map(|cut| cut.guaranteed.saturating_sub(cut.taken)).sum();
                prop_assert_eq!(all + pot.free, total);
                prop_assert_eq!(owed, pot.owed);
                prop_assert!(pot.owed <= pot.free);
            }
        }
    }
}
