//! Attenuation on random lattices: whatever is issued, amended, rotated or resumed never exceeds nor outlives its maker.

use proptest::prelude::*;

use keyholt_core::actor::{Actor, Subject, WriteKeys};
use keyholt_core::amend::{Amendment, amend};
use keyholt_core::issue::{Circumstances, Life, issue};
use keyholt_core::key::{Allowed, Bounds, Key, State};
use keyholt_core::owner::Owner;
use keyholt_core::pause::resume;
use keyholt_core::rotate::{Grace, rotate};
use keyholt_core::scope::{Access, Scope, ScopeSet};
use keyholt_core::time::Expiry;

use super::{access, cases, expiry, scope, scope_set};
use crate::support::{NEW_YEAR, Wishing, World, turn, wish};

/// Somebody who may write keys, with a key of whatever access and end; and two owners, one of them the caller.
#[derive(Clone, Debug)]
struct Lattice {
    mine: ScopeSet,
    theirs: ScopeSet,
    access: Access,
    expiry: Expiry,
    /// Whose key it is about.
    subject: Whose,
}

#[derive(Clone, Copy, Debug)]
enum Whose {
    Own,
    Others,
}

fn lattice() -> impl Strategy<Value = Lattice> {
    let whose = prop_oneof![Just(Whose::Own), Just(Whose::Others)];
    (scope_set(8), scope_set(3), access(), expiry(10..40), whose).prop_map(|(mine, theirs, access, expiry, subject)| {
        let write = ScopeSet::parse(["keyholt:keys:write"]).unwrap();
        Lattice {
            // Without that scope there would be no leave, and nothing to try.
            mine: mine.union(&write),
            access: match access {
                Access::Everything => Access::Everything,
                Access::Only(scopes) => Access::Only(scopes.union(&write)),
            },
            theirs,
            expiry,
            subject,
        }
    })
}

struct Scene {
    world: World,
    actor: Actor,
    owner: Owner,
    permissions: ScopeSet,
}

impl Scene {
    fn new(lattice: Lattice) -> Self {
        let mut world = World::new();
        let (me, other) = (world.user(&[]), world.user(&[]));
        world.may(me, lattice.mine);
        world.may(other, lattice.theirs);
        let actor = world.caller(me, lattice.access, lattice.expiry);
        let owner = match lattice.subject {
            Whose::Own => me,
            Whose::Others => other,
        };
        let permissions = world.permissions(owner).into_owned();
        Self {
            world,
            actor,
            owner,
            permissions,
        }
    }

    fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            project: &self.world.project,
            permissions: &self.permissions,
            pepper: &self.world.pepper,
        }
    }

    fn permit(&self) -> keyholt_core::actor::Permit<WriteKeys> {
        self.actor
            .permit(self.world.project.id, Subject::Owner(self.owner))
            .unwrap()
    }

    /// A key of the owner as an administrator might have made it.
    fn key(&mut self, access: Access, expiry: Expiry) -> Key {
        let admin = self.world.admin();
        let mut key = self.world.held(&admin, wish(self.owner)).key;
        key.access = access;
        key.expiry = expiry;
        key
    }

    fn exceeds_maker(&self, key: &Key) -> Option<Scope> {
        let child = key.access.effective(&self.permissions);
        self.actor.effective.lacks(&child).cloned()
    }

    /// Checks everything that a maker is promised about what was made.
    fn check(&self, key: &Key, probe: &Scope) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.exceeds_maker(key), None);
        prop_assert!(!key.expiry.outlives(self.actor.expiry));
        if let Access::Only(_) = key.access {
            // Whatever roles its owner is given later.
            let everything = ScopeSet::parse(["*", "keyholt:*"]).unwrap();
            let later = key.access.allows(&everything, probe.wanted());
            prop_assert!(
                !later || self.actor.effective.covers(probe.wanted()),
                "{probe} is in wait"
            );
        } else if let Access::Only(_) = *self.actor.access {
            let all = ScopeSet::parse(["*", "keyholt:*"]).unwrap();
            prop_assert_eq!(
                self.actor.effective.lacks(&all),
                None,
                "a narrow key handed on everything"
            );
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn what_is_issued(lattice in lattice(), access in access(), life in expiry(1..40), probe in scope()) {
        let mut scene = Scene::new(lattice);
        let life = life.at().map_or(Life::Never, Life::Until);
        let wished = wish(scene.owner).access(access).life(life);
        let mut entropy = scene.world.entropy.clone();
        let made = issue(&scene.permit(), wished, scene.circumstances(), NEW_YEAR, &mut entropy);
        scene.world.entropy = entropy;
        if let Ok((issued, _)) = made {
            scene.check(&issued.key, &probe)?;
        }
    }

    #[test]
    fn what_is_rotated(lattice in lattice(), access in access(), end in expiry(1..40), probe in scope()) {
        let mut scene = Scene::new(lattice);
        let key = scene.key(access, end);
        let mut entropy = scene.world.entropy.clone();
        let turned = rotate(&scene.permit(), &key, turn(Grace::Default), scene.circumstances(), NEW_YEAR, &mut entropy);
        if let Ok((rotated, _)) = turned {
            scene.check(&rotated.key, &probe)?;
        }
    }

    #[test]
    fn what_is_resumed(lattice in lattice(), access in access(), end in expiry(1..40), probe in scope()) {
        let mut scene = Scene::new(lattice);
        let mut key = scene.key(access, end);
        key.state = State::Suspended { since: NEW_YEAR };
        if let Ok(Some((resumed, _))) = resume(&scene.permit(), &key, None, scene.circumstances(), NEW_YEAR) {
            scene.check(&resumed, &probe)?;
        }
    }

    #[test]
    fn what_is_amended(
        lattice in lattice(),
        (before, until) in (access(), expiry(1..40)),
        to in prop::option::of(access()),
        end in prop::option::of(expiry(1..40)),
        fenced in prop::option::of(prop_oneof![Just(0u8), Just(1), Just(2)]),
        probe in scope(),
    ) {
        let mut scene = Scene::new(lattice);
        let key = scene.key(before, until);
        let net = |n: u8| Bounds {
            networks: match n {
                0 => Allowed::Any,
                n => Allowed::only(vec![format!("10.{n}.0.0/16").parse().unwrap()]).unwrap(),
            },
            ..Bounds::default()
        };
        let amendment = Amendment { access: to, expiry: end, bounds: fenced.map(net), ..Amendment::default() };
        if let Ok(Some((after, _))) = amend(&scene.permit(), &key, amendment, scene.circumstances(), NEW_YEAR) {
            // Either it is nowhere more than it was, or it is in everything within what the caller has.
            let before = key.access.effective(&scene.permissions);
            let narrower = before.lacks(&after.access.effective(&scene.permissions)).is_none()
                && !after.expiry.outlives(key.expiry)
                && after.bounds == key.bounds;
            if !narrower {
                scene.check(&after, &probe)?;
            }
            let everything = ScopeSet::parse(["*", "keyholt:*"]).unwrap();
            let later = after.access != Access::Everything && after.access.allows(&everything, probe.wanted());
            let had = key.access.allows(&everything, probe.wanted());
            prop_assert!(!later || had || scene.actor.effective.covers(probe.wanted()), "{probe} is in wait");
        }
    }
}

/// The cases above are worth something only if many of them come to pass, and many do not.
#[test]
fn both_outcomes_are_tried_often() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::new(cases(1));
    let given = (lattice(), access(), expiry(1..40));
    let (mut made, mut refused) = (0, 0);
    for _ in 0..1000 {
        let (lattice, access, end) = given.new_tree(&mut runner).unwrap().current();
        let scene = Scene::new(lattice);
        let wished = wish(scene.owner)
            .access(access)
            .life(end.at().map_or(Life::Never, Life::Until));
        let mut entropy = scene.world.entropy.clone();
        match issue(&scene.permit(), wished, scene.circumstances(), NEW_YEAR, &mut entropy) {
            Ok(_) => made += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(made > 100 && refused > 100, "{made} made, {refused} refused");
}
