//! Mounting as users know it: by mount(8), by a line of fstab(5), and by an ordinary user through fusermount3.

use hostcall_tests::daemon::{exports, program, Daemon};
use nix::unistd::{chown, Gid, Uid};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

const NOBODY: u32 = 65534;

/// Runs a script as root in a mount namespace of its own, in which `hostfs` lies where programs are looked for, everybody
/// may use `/dev/fuse` as usual, and `$1` is a mountpoint of nobody's, `$2` the socket, `$3` the export on the mount.
fn says(script: &str) -> Option<String> {
    let helpers = ["/usr/sbin/mount.fuse3", "/usr/bin/fusermount3"];
    let there = helpers
        .iter()
        .all(|path| fs::exists(path).is_ok_and(|there| there));
    if !Uid::effective().is_root() || !there || !fs::exists("/dev/fuse").is_ok_and(|there| there) {
        eprintln!("skipped: needs root, fuse3 and /dev/fuse");
        return None;
    }
    let daemon =
        Daemon::configured(|directory| json!({"exports": exports(directory), "as": "nobody"}));
    let mountpoint = daemon.directory.join("mnt");
    let bin = daemon.directory.join("bin");
    for directory in [&mountpoint, &bin] {
        fs::create_dir(directory).expect("a directory");
    }
    for owned in [&mountpoint, &daemon.export("")] {
        let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        chown(owned, Some(user), Some(group)).expect("an owner");
    }
    fs::write(daemon.export("f"), "from the host\n").expect("a file");
    fs::copy(program("hostfs"), bin.join("hostfs")).expect("a copy");
    fs::set_permissions(bin.join("hostfs"), fs::Permissions::from_mode(0o755)).expect("chmod");
    let whole = format!(
        "set -u
         cd {directory}
         mknod -m 666 fuse c 10 229 && mount --bind fuse /dev/fuse
         mount --bind bin /usr/local/bin
         user() {{ setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups sh -c \"$1\" user $mnt $socket $export; }}
         mounted() {{ grep \" $mnt \" /proc/self/mounts | sed \"s,$mnt,MNT,\"; }}
         mnt=$1 socket=$2 export=$3
         {script}",
        directory = daemon.directory.display()
    );
    let export = daemon.export("");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &whole, "sh"])
        .arg(&mountpoint)
        .arg(daemon.socket())
        .arg(mountpoint.join(export.strip_prefix("/").expect("absolute")))
        .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .expect("apt-get install util-linux");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let place = daemon.directory.display().to_string();
    Some(format!("{}{}", text(&output.stdout), text(&output.stderr)).replace(&place, "DIR"))
}

const ROOTS: &str = "user_id=0,group_id=0,allow_other 0 0";
const USERS: &str = "user_id=65534,group_id=65534 0 0";

#[test]
fn mount_knows_the_type() {
    let said = says(
        "mount -t fuse.hostfs $socket $mnt -o cache=none,noatime,noexec,ro,nofail,_netdev,x-a.b
         mounted; cat $export/f; umount $mnt; mounted
         mount -t fuse.hostfs $socket $mnt -o fsname=mine,suid,dev && mounted && umount -t fuse.hostfs $mnt
         mount -t fuse hostfs#$socket $mnt && mounted && fusermount3 -u $mnt; mounted
         mount -t fuse.hostfs $socket $mnt -o uid=5; echo $?; mounted
         HOSTCALL_ATTACH=$socket mount -t fuse.hostfs host $mnt && cat $export/f
         mount -o remount,ro $mnt; echo $?; umount $mnt; mounted",
    );
    let Some(said) = said else { return };
    let expected = format!(
        "host MNT fuse.hostfs ro,noexec,noatime,{ROOTS}
from the host
mine MNT fuse.hostfs rw,relatime,{ROOTS}
host MNT fuse.hostfs rw,relatime,{ROOTS}
1
from the host
1
hostfs: no option `uid` here: owners and modes are the host's; hostd maps them, see `as` in its configuration
hostfs: no option `remount` here: a mount is not changed; unmount it and mount it anew
"
    );
    assert_eq!(said, expected);
}

#[test]
fn a_line_of_fstab_is_mounted_and_unmounted() {
    let said = says(
        "echo \"$socket $mnt fuse.hostfs cache=auto,nofail,user,noauto 0 0\" > fstab
         mount --bind fstab /etc/fstab
         mount $mnt; mounted; cat $export/f; umount $mnt; mounted
         user 'mount $1 && cat $3/f && echo written > $3/g && umount $1'; mounted; cat export/g",
    );
    let Some(said) = said else { return };
    let expected = format!(
        "host MNT fuse.hostfs rw,nosuid,nodev,noexec,relatime,{ROOTS}
from the host
from the host
written
"
    );
    assert_eq!(said, expected);
}

#[test]
fn an_ordinary_user_mounts_through_fusermount() {
    let said = says(
        "begin='until [ -e $1/.hostcall/status ] || ! kill -0 $!; do sleep 0.1; done'
         user 'hostfs $2 $1 -f -o cache=auto & '\"$begin\"'; cat $3/f && echo theirs > $3/g; fusermount3 -u $1; wait $!; echo ended $?'
         mounted; cat export/g; stat -c %u export/g
         user 'hostfs $2 $1 -f & '\"$begin\"'; kill $!; wait $!; echo ended $?'; mounted
         user 'hostfs $2 $1'; mounted; cat $mnt/. 2>&1 | sed 's/.*: //'; user 'fusermount3 -u $1'; mounted
         user 'hostfs $2 $1 -o allow_other'; echo $?; mounted",
    );
    let Some(said) = said else { return };
    let expected = format!(
        "from the host
ended 0
theirs
65534
ended 0
host MNT fuse.hostfs rw,nosuid,nodev,relatime,{USERS}
Permission denied
1
hostfs: only root may let others use the mount: add `user_allow_other` to /etc/fuse.conf, or mount without allow_other
"
    );
    assert_eq!(said, expected);
}
