use super::*;
use hostcall::types::RemoteFd;

fn key(ino: u64) -> Key {
    Key {
        device: (8, 1),
        ino,
        ..Key::default()
    }
}

struct Fixture {
    unused: Arc<Unused>,
    inodes: Inodes,
}

impl Fixture {
    fn new(limit: usize) -> Fixture {
        let unused = Arc::new(Unused::default());
        let root = Held::new(RemoteFd(3), Kind::Path, &unused);
        let inodes = Inodes::new(key(2), root, limit);
        Fixture { unused, inodes }
    }

    fn find(&mut self, ino: u64, parent: Ino, name: &CStr) -> Ino {
        let held = Held::new(RemoteFd(100 + ino as i32), Kind::Path, &self.unused);
        self.inodes
            .enter(key(ino), Some(held), Some((parent, name)))
            .0
    }

    fn is_held(&mut self, ino: Ino) -> bool {
        matches!(self.inodes.way(ino), Way::Held(_))
    }
}

#[test]
fn names_of_one_file_share_a_number() {
    let mut f = Fixture::new(8);
    let one = f.find(10, ROOT, c"a");
    assert_eq!(f.find(10, ROOT, c"b"), one);
    assert_ne!(f.find(11, ROOT, c"c"), one);
    f.inodes.forget(one, 1);
    assert!(f.is_held(one));
    f.inodes.forget(one, 1);
    assert!(matches!(f.inodes.way(one), Way::Lost));
}

#[test]
fn descriptors_are_bounded_and_found_again_by_name() {
    let mut f = Fixture::new(4);
    let inos: Vec<Ino> = (0..100)
        .map(|n| f.find(1000 + n, ROOT, &CString::new(format!("f{n}")).unwrap()))
        .collect();
    let (known, held) = f.inodes.count();
    assert_eq!((known, held), (101, 5));
    assert_eq!(f.unused.take(Kind::Path, 1).len(), 96);
    match f.inodes.way(inos[0]) {
        Way::Named(parent, name, found, None) => {
            assert_eq!((parent, name.as_c_str(), found), (ROOT, c"f0", key(1000)))
        }
        way => panic!("{way:?}"),
    }
    for ino in inos {
        f.inodes.forget(ino, 1);
    }
    assert_eq!(f.inodes.count(), (1, 1));
    assert!(f.inodes.names.is_empty());
    assert_eq!(f.unused.take(Kind::Path, 1).len(), 4);
}

#[test]
fn a_file_without_a_name_keeps_its_descriptor() {
    let mut f = Fixture::new(2);
    let gone = f.find(10, ROOT, c"gone");
    f.inodes.unnamed(ROOT, c"gone");
    for n in 0..20 {
        f.find(100 + n, ROOT, &CString::new(format!("f{n}")).unwrap());
    }
    assert!(f.is_held(gone));
    f.inodes.forget(gone, 1);
    assert!(matches!(f.inodes.way(gone), Way::Lost));
}

#[test]
fn an_open_file_is_reached_by_its_own_descriptor() {
    let mut f = Fixture::new(1);
    let ino = f.find(10, ROOT, c"a");
    let open = Held::new(RemoteFd(50), Kind::File, &f.unused);
    f.inodes.opened(ino, &open);
    f.find(11, ROOT, c"b");
    f.find(12, ROOT, c"c");
    match f.inodes.way(ino) {
        Way::Held(held) => assert_eq!(held.fd(), RemoteFd(50)),
        way => panic!("{way:?}"),
    }
    f.inodes.closed(ino, &open);
    assert!(matches!(f.inodes.way(ino), Way::Named(..)));
}

#[test]
fn a_number_used_again_is_another_generation() {
    let mut f = Fixture::new(8);
    let ino = f.find(10, ROOT, c"a");
    let young = Key {
        birth: Time {
            seconds: 5,
            nanoseconds: 0,
        },
        ..key(10)
    };
    let (again, generation) = f.inodes.enter(young, None, Some((ROOT, c"b")));
    assert_eq!((again, generation), (ino, 1));
    f.inodes.forget(ino, 1);
    assert!(matches!(f.inodes.way(ino), Way::Named(..)));
    f.inodes.forget(ino, 1);
    assert!(matches!(f.inodes.way(ino), Way::Lost));
}

#[test]
fn renaming_moves_names() {
    let mut f = Fixture::new(8);
    let (a, b) = (f.find(10, ROOT, c"a"), f.find(11, ROOT, c"b"));
    f.inodes.renamed((ROOT, c"a"), (ROOT, c"b"), true);
    assert_eq!(f.inodes.named(ROOT, c"a"), Some(b));
    assert_eq!(f.inodes.named(ROOT, c"b"), Some(a));
    f.inodes.renamed((ROOT, c"a"), (ROOT, c"b"), false);
    assert_eq!(f.inodes.named(ROOT, c"b"), Some(b));
    assert_eq!(f.inodes.named(ROOT, c"a"), None);
    // The one that was replaced has no name left and keeps its descriptor.
    f.inodes.shrink(0);
    assert!(f.is_held(a));
}

#[test]
fn numbers_of_several_devices_differ() {
    let mut f = Fixture::new(8);
    let mut seen = std::collections::HashSet::new();
    for device in 0..50 {
        for ino in 1..200 {
            assert!(
                seen.insert(f.inodes.number((8, device), ino)),
                "{device} {ino}"
            );
        }
    }
    assert_eq!(f.inodes.number((8, 1), 2), ROOT);
    assert!(!seen.contains(&0));
}

#[test]
fn another_view_is_walked_anew() {
    let mut f = Fixture::new(8);
    let way = f.find(10, ROOT, c"way");
    let export = f.find(11, way, c"export");
    let token = Held::new(RemoteFd(7), Kind::Path, &f.unused);
    let (nameless, _) = f.inodes.enter(key(12), Some(token), None);
    let old = Held::new(RemoteFd(8), Kind::Path, &f.unused);

    let unused = Arc::new(Unused::of(1));
    let root = |fd| Held::new(RemoteFd(fd), Kind::Path, &unused);
    let before = f.inodes.begin_again(key(20), root(3));
    assert_eq!(before.0, key(2));
    assert_eq!(f.inodes.number((8, 1), 20), ROOT);
    assert!(!f.is_held(way) && !f.is_held(export));
    assert!(f.is_held(nameless), "nothing else leads to it");
    f.inodes.give(way, old);
    assert!(!f.is_held(way), "a descriptor of the old view");
    f.inodes.give(way, root(4));
    assert!(f.is_held(way));

    // The directory on the way is another one, under the same number until it is forgotten.
    assert_eq!(f.inodes.children(ROOT), [(c"way".to_owned(), way, key(10))]);
    f.inodes.becomes(way, key(21));
    assert_eq!(f.inodes.number((8, 1), 21), way);
    f.inodes.forget(way, 1);
    assert_ne!(f.inodes.number((8, 1), 21), way);
}
