package pluginhost

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// capabilityNumber turns a name as people and schemas write it ("net_raw", or
// "CAP_NET_RAW") into the kernel's number. Only capabilities that a check, a
// tracker or a notifier can have an honest use for are known: one that would
// let a plugin undo its own containment (sys_admin, setuid, sys_ptrace, ...)
// cannot be granted at all.
func capabilityNumber(name string) (uintptr, error) {
	switch strings.TrimPrefix(strings.ToLower(name), "cap_") {
	case "net_raw":
		return unix.CAP_NET_RAW, nil
	case "net_admin":
		return unix.CAP_NET_ADMIN, nil
	case "net_bind_service":
		return unix.CAP_NET_BIND_SERVICE, nil
	case "dac_read_search":
		return unix.CAP_DAC_READ_SEARCH, nil
	case "syslog":
		return unix.CAP_SYSLOG, nil
	}
	return 0, fmt.Errorf("capability %q: not one that a plugin can be granted (dac_read_search, net_admin, net_bind_service, net_raw, syslog)", name)
}

// effectiveCapability reports whether the calling process may use c now.
func effectiveCapability(c int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[c/32].Effective&(1<<(c%32)) != 0
}
