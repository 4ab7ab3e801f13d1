package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mostLinks is how many symbolic links a path may lead over, as in the kernel.
const mostLinks = 40

// walk follows a path from the root, and calls watch for every directory that
// decides where it leads: for changes of what mask names, concerning the entry
// called name. It returns the last directory that there is. The caller then
// opens the path itself; anything that changes after a watch call is told.
//
// A directory that is there is only watched for its own going, which costs
// nothing in a busy one; the parent of a link also for the link, that of what
// is missing for its coming, and that of the file for all that can happen to it.
func walk(path string, watch func(directory string, mask uint32, name string)) (reached string) {
	directory, links := "/", 0
	rest := elements(path)
	for len(rest) > 0 {
		name := rest[0]
		switch name {
		case ".":
			rest = rest[1:]
			continue
		case "..": // The directory is a physical one: this is its parent.
			directory, rest = filepath.Dir(directory), rest[1:]
			continue
		}
		final := len(rest) == 1
		mask := uint32(goneMask)
		if final {
			mask |= contentMask
		}
		watch(directory, mask, name)
		full := filepath.Join(directory, name)
		info, err := os.Lstat(full)
		if more := extra(info, err, final); more&^mask != 0 {
			// It may have changed before this watch: look again.
			watch(directory, more, name)
			info, err = os.Lstat(full)
		}
		switch {
		case err != nil:
			return directory
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(full)
			if links++; err != nil || links > mostLinks {
				return directory
			}
			if filepath.IsAbs(target) {
				directory = "/"
			}
			rest = append(elements(target), rest[1:]...)
		case final || !info.IsDir():
			return directory
		default:
			directory, rest = full, rest[1:]
		}
	}
	return directory
}

// extra is what a directory is to be watched for because of one entry in it.
func extra(info fs.FileInfo, err error, final bool) uint32 {
	switch {
	case final:
		return contentMask
	case err != nil:
		return entryMask
	case !info.IsDir(): // A link, or what stands in a directory's place.
		return replaceMask
	default:
		return 0
	}
}

// elements splits a path.
func elements(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// silent reports whether a directory is on a file system that does not report
// changes: what the kernel makes up, and what others write over a network.
func silent(directory string) bool {
	var s unix.Statfs_t
	for {
		err := unix.Statfs(directory, &s)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return true
		}
		break
	}
	switch uint32(s.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC,
		unix.CIFS_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.FUSE_SUPER_MAGIC, unix.OCFS2_SUPER_MAGIC:
		return true
	default:
		return false
	}
}
