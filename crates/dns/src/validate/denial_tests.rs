//! Proofs against a model: what a whole zone says must be proven, and nothing that it does not say may
//! be, whichever of its records are shown.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use super::*;
use hickory_resolver::proto::dnssec::Nsec3HashAlgorithm;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const TYPES: [RecordType; 4] = [RecordType::A, RecordType::MX, RecordType::TLSA, RecordType::DS];

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// A zone as its owner knows it.
struct Model {
    zone: Name,
    names: BTreeMap<Name, Vec<RecordType>>,
}

impl Model {
    /// With an apex, a wildcard and a closer name, names deep down, signed and unsigned delegations, a
    /// DNAME and an alias.
    fn new() -> Self {
        use RecordType::{A, CNAME, DNAME, DS, MX, NS, SOA, TLSA};
        let names = [
            ("z.test.", vec![SOA, NS, MX]),
            ("a.z.test.", vec![A]),
            ("*.w.z.test.", vec![MX, TLSA]),
            ("b.w.z.test.", vec![A]),
            ("c.d.w.z.test.", vec![A]),
            ("a.b.c.z.test.", vec![TLSA]),
            ("cut.z.test.", vec![NS]),
            ("sec.z.test.", vec![NS, DS]),
            ("dn.z.test.", vec![A, DNAME]),
            ("x.z.test.", vec![CNAME]),
        ];
        let names = names.into_iter().map(|(owner, types)| (name(owner), types)).collect();
        Self { zone: name("z.test."), names }
    }

    fn exists(&self, wanted: &Name) -> bool {
        self.names.keys().any(|owner| wanted.zone_of(owner))
    }

    /// Whether the zone has nothing to say of a name.
    fn is_below_a_cut(&self, wanted: &Name) -> bool {
        self.names.iter().any(|(owner, types)| {
            let cut = types.contains(&RecordType::NS) && !types.contains(&RecordType::SOA);
            (cut || types.contains(&RecordType::DNAME)) && strictly_below(wanted, owner)
        })
    }

    fn encloser(&self, wanted: &Name) -> usize {
        let mut above = (0..=depth(wanted)).rev();
        above.find(|labels| self.exists(&wanted.trim_to(*labels))).unwrap()
    }

    fn has_no(types: &[RecordType], kind: RecordType) -> bool {
        has_no(kind, NSEC::new(Name::root(), types.iter().copied()).type_set())
    }

    fn absence(&self, wanted: &Name, kind: RecordType) -> Option<Absence> {
        if self.is_below_a_cut(wanted) || !self.zone.zone_of(wanted) {
            return None;
        }
        if let Some(types) = self.names.get(wanted) {
            return Self::has_no(types, kind).then_some(Absence::Type);
        }
        if self.exists(wanted) {
            return Some(Absence::Type);
        }
        let wildcard = wildcard(wanted, self.encloser(wanted)).unwrap();
        match self.names.get(&wildcard) {
            Some(types) => Self::has_no(types, kind).then_some(Absence::Type),
            None if self.exists(&wildcard) => Some(Absence::Type),
            None => Some(Absence::Name),
        }
    }

    fn nsec(&self) -> Vec<(Name, NSEC)> {
        let owners: Vec<&Name> = self.names.keys().collect();
        let next = owners.iter().cycle().skip(1);
        let link = |(owner, next): (&&Name, &&Name)| {
            ((*owner).clone(), NSEC::new((*next).clone(), self.names[*owner].clone()))
        };
        owners.iter().zip(next).map(link).collect()
    }

    /// Opt-out leaves unsigned delegations out.
    fn nsec3(&self, opt_out: bool, iterations: u16) -> Vec<(Name, NSEC3)> {
        let salt = vec![0xaa, 0xbb];
        let hash = |name: &Name| {
            let hash = Nsec3HashAlgorithm::SHA1.hash(&salt, name, iterations).unwrap();
            hash.as_ref().to_vec()
        };
        let listed = |types: &Vec<RecordType>| !opt_out || *types != [RecordType::NS];
        let mut names: BTreeSet<Name> = BTreeSet::new();
        for (owner, _) in self.names.iter().filter(|(_, types)| listed(types)) {
            let labels = depth(&self.zone)..=depth(owner);
            names.extend(labels.map(|labels| owner.trim_to(labels)));
        }
        let types = |name: &Name| self.names.get(name).cloned().unwrap_or_default();
        let hashes: BTreeMap<Vec<u8>, Vec<RecordType>> =
            names.iter().map(|name| (hash(name), types(name))).collect();
        let next = hashes.keys().cycle().skip(1);
        let link = |((hash, types), next): ((&Vec<u8>, &Vec<RecordType>), &Vec<u8>)| {
            let label = data_encoding::BASE32_DNSSEC.encode(hash);
            let owner = self.zone.prepend_label(label.as_str()).unwrap();
            let (salt, types) = (salt.clone(), types.clone());
            let sha1 = Nsec3HashAlgorithm::SHA1;
            (owner, NSEC3::new(sha1, opt_out, iterations, salt, next.clone(), types))
        };
        hashes.iter().zip(next).map(link).collect()
    }
}

/// A denial of these records.
fn denial<'a>(zone: &'a Name, nsec: &'a [(Name, NSEC)], nsec3: &'a [(Name, NSEC3)]) -> Denial<'a> {
    let links = nsec.iter().map(|(owner, nsec)| (owner, nsec)).collect();
    let records: Vec<(&Name, &NSEC3)> = nsec3.iter().map(|(o, nsec3)| (o, nsec3)).collect();
    Denial { nsec: NsecChain { zone, links }, nsec3: Nsec3Chain::new(zone, &records), ttl: 60 }
}

/// Names in, on the edge of and outside the zone.
fn names() -> Vec<Name> {
    let labels = ["a", "b", "c", "d", "w", "*", "zz", "cut", "sec", "dn", "x", "_25"];
    let mut names = vec![name("z.test."), name("test."), name("y.test."), name("a.y.test.")];
    let mut above = vec![name("z.test.")];
    for _ in 0..3 {
        let below = |name: &Name| labels.map(|label| name.prepend_label(label).unwrap());
        above = above.iter().flat_map(below).collect();
        names.extend(above.iter().cloned());
    }
    names
}

#[test]
fn a_whole_zone_proves_what_it_says_and_nothing_else() {
    let model = Model::new();
    let (nsec, nsec3) = (model.nsec(), model.nsec3(false, 0));
    let by_nsec = denial(&model.zone, &nsec, &[]);
    let by_nsec3 = denial(&model.zone, &[], &nsec3);
    for name in names() {
        for kind in TYPES {
            let truth = model.absence(&name, kind).map(|absence| (absence, Strength::Full));
            assert_eq!(by_nsec.absence(&name, kind), truth, "NSEC, {name} {kind}");
            assert_eq!(by_nsec3.absence(&name, kind), truth, "NSEC3, {name} {kind}");
        }
    }
}

#[test]
fn wildcards_answer_only_for_names_that_nothing_is_closer_to() {
    let model = Model::new();
    let (nsec, nsec3) = (model.nsec(), model.nsec3(false, 0));
    let by_nsec = denial(&model.zone, &nsec, &[]);
    let by_nsec3 = denial(&model.zone, &[], &nsec3);
    let labels = depth(&name("w.z.test."));
    let below = |name: &&Name| strictly_below(name, &self::name("w.z.test."));
    for name in names().iter().filter(below) {
        // The wildcard's own name, too, exists.
        let serves = !model.exists(name) && model.encloser(name) == labels;
        assert_eq!(by_nsec.expansion(name, labels).is_some(), serves, "NSEC, {name}");
        assert_eq!(by_nsec3.expansion(name, labels).is_some(), serves, "NSEC3, {name}");
    }
    let elsewhere = name("a.y.test.");
    assert_eq!(by_nsec.expansion(&elsewhere, labels), None);
    assert_eq!(by_nsec3.expansion(&elsewhere, labels), None);
}

#[test]
fn delegations_are_told_from_names_without_one() {
    let model = Model::new();
    let (nsec, nsec3) = (model.nsec(), model.nsec3(false, 0));
    for denial in [denial(&model.zone, &nsec, &[]), denial(&model.zone, &[], &nsec3)] {
        let at = |text: &str| denial.delegation(&name(text));
        assert_eq!(at("cut.z.test."), Some(Delegation::Unsigned));
        assert_eq!(at("a.z.test."), Some(Delegation::NoCut));
        assert_eq!(at("b.c.z.test."), Some(Delegation::NoCut), "an empty non-terminal");
        assert_eq!(at("nobody.z.test."), Some(Delegation::NoName));
        // Signed, and so not to be shown as anything else; the apex is the child's side.
        assert_eq!(at("sec.z.test."), None);
        assert_eq!(at("z.test."), None);
        // Whose business is what is below a cut? Not this zone's.
        assert_eq!(at("mx.sec.z.test."), None);
        assert_eq!(at("mx.cut.z.test."), None);
        assert_eq!(at("a.y.test."), None);
    }
}

#[test]
fn opt_out_hides_unsigned_delegations_only() {
    let model = Model::new();
    let nsec3 = model.nsec3(true, 0);
    let denial = denial(&model.zone, &[], &nsec3);
    assert_eq!(denial.delegation(&name("cut.z.test.")), Some(Delegation::Unsigned));
    assert_eq!(denial.delegation(&name("nobody.z.test.")), Some(Delegation::Unsigned), "perhaps");
    assert_eq!(denial.delegation(&name("sec.z.test.")), None);
    // Neither the hash of a name below a signed delegation nor that of one below a name of the zone's
    // own shows a delegation there, however many records cover it.
    assert_eq!(denial.delegation(&name("mx.sec.z.test.")), None);
    let nobody = denial.absence(&name("nobody.z.test."), RecordType::TLSA);
    assert_eq!(nobody, Some((Absence::Name, Strength::Weak)));
    let exists = denial.absence(&name("a.z.test."), RecordType::TLSA);
    assert_eq!(exists, Some((Absence::Type, Strength::Full)), "the name itself is in the chain");
    let wildcard = denial.expansion(&name("e.w.z.test."), 3);
    assert_eq!(wildcard, Some(Strength::Weak));
}

#[test]
fn costly_hashes_prove_little_and_very_costly_ones_nothing() {
    let model = Model::new();
    for (iterations, strength) in [
        (100, Some(Strength::Full)),
        (101, Some(Strength::Weak)),
        (500, Some(Strength::Weak)),
        (501, None),
    ] {
        let nsec3 = model.nsec3(false, iterations);
        let absence = denial(&model.zone, &[], &nsec3).absence(&name("a.z.test."), RecordType::MX);
        assert_eq!(absence, strength.map(|s| (Absence::Type, s)), "{iterations}");
    }
}

#[test]
fn records_of_other_parameters_or_zones_are_left_out() {
    let model = Model::new();
    let (mut one, other) = (model.nsec3(false, 0), model.nsec3(false, 1));
    one.truncate(1);
    let mut mixed = one.clone();
    mixed.extend(other);
    for name in names() {
        let alone = denial(&model.zone, &[], &one).absence(&name, RecordType::MX);
        let among = denial(&model.zone, &[], &mixed).absence(&name, RecordType::MX);
        assert_eq!(among, alone, "{name}: what the first record does not prove, nothing does");
    }
    let nsec3 = model.nsec3(false, 0);
    let above = name("test.");
    assert_eq!(denial(&above, &[], &nsec3).absence(&name("a.z.test."), RecordType::MX), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever shows only some of a zone's records cannot prove with them what is not so.
    #[test]
    fn no_selection_of_records_lies(shown in proptest::collection::vec(any::<bool>(), 32), opt_out: bool) {
        let model = Model::new();
        let (mut nsec, mut nsec3) = (model.nsec(), model.nsec3(opt_out, 0));
        let mut keep = shown.iter();
        nsec.retain(|_| *keep.next().unwrap_or(&true));
        let mut keep = shown.iter().rev();
        nsec3.retain(|_| *keep.next().unwrap_or(&true));
        let by_nsec = denial(&model.zone, &nsec, &[]);
        let by_nsec3 = denial(&model.zone, &[], &nsec3);
        for name in names() {
            for kind in TYPES {
                let truth = model.absence(&name, kind);
                if let Some((absence, _)) = by_nsec.absence(&name, kind) {
                    prop_assert_eq!(Some(absence), truth, "NSEC, {} {}", name, kind);
                }
                if let Some((absence, Strength::Full)) = by_nsec3.absence(&name, kind) {
                    prop_assert_eq!(Some(absence), truth, "NSEC3, {} {}", name, kind);
                }
            }
            let cut = model.names.get(&name).is_some_and(|types| *types == [RecordType::NS]);
            let unsigned = Some(Delegation::Unsigned);
            prop_assert!(by_nsec.delegation(&name) != unsigned || cut, "{}", name);
            // Opt-out says "perhaps" of names that do not exist, never of names below a signed one.
            if by_nsec3.delegation(&name) == unsigned {
                prop_assert!(cut || opt_out && !model.exists(&name), "{}", name);
                prop_assert!(!self::name("sec.z.test.").zone_of(&name), "{}", name);
            }
        }
    }
}
