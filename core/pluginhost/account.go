package pluginhost

import (
	"fmt"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// account is the user a plugin process runs as.
type account struct {
	name     string
	uid, gid uint32
	// same is set when the process runs as the daemon's own user because the
	// daemon lacks the privilege to change it.
	same bool
}

// privileged reports whether this process may start children as another user:
// CAP_SETUID and CAP_SETGID, which is what root usually has, but not always,
// and a service with ambient capabilities may have without being root.
func privileged() bool {
	return effectiveCapability(unix.CAP_SETUID) && effectiveCapability(unix.CAP_SETGID)
}

// lookupAccount finds the account of that name, or number, that plugins are to
// run as. Without privilege it is the daemon's own, whatever the name.
func lookupAccount(name string, privileged bool) (account, error) {
	if !privileged {
		own := account{name: strconv.Itoa(os.Geteuid()), uid: uint32(os.Geteuid()), gid: uint32(os.Getegid()), same: true} //nolint:gosec // identifiers are 32 bits wide.
		if u, err := user.LookupId(own.name); err == nil {
			own.name = u.Username
		}
		return own, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if _, numeric := strconv.ParseUint(name, 10, 32); numeric == nil {
			u, err = user.LookupId(name)
		}
	}
	if err != nil {
		return account{}, fmt.Errorf("user %q: no such account; create it (useradd --system --no-create-home --shell /usr/sbin/nologin %s) or name another one in plugin_user", name, name)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user %q: read user id %q: %w", name, u.Uid, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user %q: read group id %q: %w", name, u.Gid, err)
	}
	return account{name: u.Username, uid: uint32(uid), gid: uint32(gid)}, nil
}
