// Package config turns halo.toml into a Generation: typed, defaulted,
// validated and never changed afterwards.
//
// Load reports every problem of a file, each with file, line, column, key,
// what was expected and, for a misspelt word, what was probably meant. Diff
// compares two generations object by object, which is what makes a reload
// touch only what changed. The package reads files and nothing else: no
// network, no names, no privileges.
//
// Read Generation first.
package config

import (
	"encoding/json"
	"net/netip"
	"time"
)

// Generation is one whole configuration. All maps are keyed by the object's
// name; the zero value of a field has been replaced by its default.
type Generation struct {
	// File is the path it was read from.
	File           string
	Global         Global
	Instances      map[string]*Instance
	VirtualServers map[string]*VirtualServer
	Plugins        map[string]*Plugin
	IPVS           IPVS
	Control        Control
}

// Global is [global].
type Global struct {
	RouterID   string   // default: the host name
	RuntimeDir string   // runtime_dir, default /run/halo
	PluginDirs []string // plugin_dirs, default: plugins/ beside the halo binary, then /usr/lib/halo/plugins
	PluginUser string   // plugin_user, default "halo" if that account exists, else "nobody"
	LogLevel   string   // log_level: debug, info (default), warn, error
}

// Instance is [vrrp_instance.NAME].
type Instance struct {
	Name          string
	Interface     string
	VRID          uint8
	Version       uint8          // 2 or 3, default 3
	Priority      uint8          // 1..255, default 100; 255 = address owner
	Interval      time.Duration  // advert_interval, default 1s; v2 whole seconds 1..255s, v3 10ms..40.95s in steps of 10ms
	Preempt       bool           // default true
	PreemptDelay  time.Duration  // preempt_delay, default 0, at most 1000s
	Addresses     []netip.Prefix // 1..255; without a length: /32
	SourceAddress netip.Addr     // source_address, default: the interface's first address
	Checksum      string         // checksum, v3 only: "pseudo-header" (default) or "plain"
	GARP          GARP
	Auth          *Auth // nil = none
}

// GARP is [vrrp_instance.NAME.garp].
type GARP struct {
	Repeat              int           // repeat, 1..100, default 5: packets per address per burst
	Delay               time.Duration // delay, default 5s: second burst after becoming active; 0 = none
	Refresh             time.Duration // refresh, default 0 = off: periodic announcement while active
	RefreshRepeat       int           // refresh_repeat, default 1
	LowerPriorityRepeat int           // lower_priority_repeat, default = repeat
	LowerPriorityDelay  time.Duration // lower_priority_delay, default = delay
}

// Auth is [vrrp_instance.NAME.authentication]; VRRP version 2 only.
type Auth struct {
	Type     string // "pass"
	Password string // 1..8 bytes; never printed
}

// VirtualServer is [virtual_server.NAME].
type VirtualServer struct {
	Name        string
	Address     netip.AddrPort
	Protocol    string         // "tcp" (default) or "udp"
	Scheduler   string         // default "wlc"
	Forward     string         // "nat" (default), "dr", "tun"
	Persistence time.Duration  // 0 = off; whole seconds
	Quorum      int            // 1..2^31-1, default 1: total weight needed
	OnFailure   string         // on_failure: "remove" (default) or "quiesce"
	SorryServer netip.AddrPort // invalid = none
	Servers     []*RealServer  // in file order, address unique
}

// RealServer is [[virtual_server.NAME.real_server]].
type RealServer struct {
	Address   netip.AddrPort
	Weight    int      // 0..2^31-1, default 1
	Forward   string   // default: the virtual server's
	OnFailure string   // default: the virtual server's
	Checks    []*Check // its own, or the virtual server's; empty = always in service
}

// Check is one element of check = [...]. Two checks with equal fields (but
// Position) are the same probe definition.
type Check struct {
	Name           string // name, default: the type, with "#2" and so on when that repeats; unique within a server
	Type           string
	Plugin         string          // which plugin provides Type (from the catalogue)
	Interval       time.Duration   // default 5s
	Timeout        time.Duration   // default 3s; a deadline for the whole probe
	RetryInterval  time.Duration   // retry_interval, default 1s
	Rise, Fall     int             // default 2 and 3
	ConnectAddress netip.Addr      // connect_address, default the server's
	ConnectPort    uint16          // connect_port, default the server's
	Bind           netip.Addr      // bind, default none
	User           string          // user the plugin process runs as; default Global.PluginUser
	Settings       json.RawMessage // the type's own keys as a JSON object with sorted keys
}

// Plugin is [plugin.NAME].
type Plugin struct {
	Name         string
	OnPluginLoss string        // on_plugin_loss: "hold" (default) or "fail"
	PluginGrace  time.Duration // plugin_grace, default 30s
	SHA256       string        // 64 hex digits or empty
	Capabilities []string
	Env          map[string]string
}

// IPVS is [ipvs].
type IPVS struct {
	ResyncInterval time.Duration // resync_interval, default 5s, 1s..1h: how often the kernel's table is compared
}

// Control is [control].
type Control struct {
	Socket  string // default RuntimeDir/halo.sock
	Metrics string // "IP:port" or empty = off
}
