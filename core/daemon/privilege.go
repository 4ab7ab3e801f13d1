package daemon

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/config"
)

// capability is one privilege halo can need, with what it is for.
type capability struct {
	number  uint
	name    string
	purpose string
	// hard capabilities stop the start; without the others halo runs
	// degraded and says so.
	hard bool
}

// needed lists the privileges that generation g needs. Nothing is asked for
// that the configuration does not use.
func needed(g *config.Generation) []capability {
	var list []capability
	if len(g.Instances) > 0 {
		list = append(list,
			capability{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "to put virtual addresses on interfaces", true},
			capability{unix.CAP_NET_RAW, "CAP_NET_RAW", "to send and receive VRRP and gratuitous ARP", true})
	}
	if !g.Static.Empty() && len(g.Instances) == 0 {
		list = append(list, capability{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "to put static addresses, routes and rules in place", true})
	}
	if len(g.VirtualServers) > 0 && len(g.Instances) == 0 && g.Static.Empty() {
		list = append(list, capability{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "to configure IPVS", true})
	}
	if usesPlugins(g) {
		list = append(list,
			capability{unix.CAP_SETUID, "CAP_SETUID", "to run plugins as " + g.Global.PluginUser, false},
			capability{unix.CAP_SETGID, "CAP_SETGID", "to run plugins as " + g.Global.PluginUser, false},
			capability{unix.CAP_KILL, "CAP_KILL", "to stop plugins that run as another user", false},
			capability{unix.CAP_CHOWN, "CAP_CHOWN", "to give plugins their socket directory", false})
	}
	return list
}

func usesPlugins(g *config.Generation) bool {
	for _, k := range g.Trackers {
		if k.Probe != nil {
			return true
		}
	}
	for _, service := range g.VirtualServers {
		for _, server := range service.Servers {
			if len(server.Checks) > 0 {
				return true
			}
		}
	}
	return false
}

// missing returns those of list that are not in the effective set.
func missing(list []capability, effective uint64) []capability {
	var absent []capability
	for _, c := range list {
		if effective&(1<<c.number) == 0 {
			absent = append(absent, c)
		}
	}
	return absent
}

// remedy is how an operator grants what is absent.
func remedy(absent []capability) string {
	words := make([]string, len(absent))
	for i, c := range absent {
		words[i] = c.name
	}
	return "add `AmbientCapabilities=" + strings.Join(words, " ") + "` to the systemd unit (contrib/systemd/halo.service has them), or run halo as root"
}

// privilegeError names the hard capabilities that are absent, nil when none is.
func privilegeError(absent []capability) error {
	var hard []capability
	var purposes []string
	for _, c := range absent {
		if c.hard {
			hard = append(hard, c)
			purposes = append(purposes, c.name+" ("+c.purpose+")")
		}
	}
	if len(hard) == 0 {
		return nil
	}
	return fmt.Errorf("missing %s; %s", strings.Join(purposes, " and "), remedy(hard))
}

// effectiveCapabilities reads this process's effective set.
func effectiveCapabilities() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("read capabilities: %w", err)
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}
