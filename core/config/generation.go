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
// name; the zero value of a field has been replaced by its default. The json
// tags here and below are the keys of halo.toml: Diff names fields by them.
//
// A Generation is never changed after Load returned it, so any number of
// goroutines may read it.
type Generation struct {
	// File is the path it was read from.
	File           string                    `json:"file"`
	Global         Global                    `json:"global"`
	Instances      map[string]*Instance      `json:"vrrp_instance"`
	SyncGroups     map[string]*SyncGroup     `json:"vrrp_sync_group"`
	Trackers       map[string]*Tracker       `json:"tracker"`
	Static         Static                    `json:"static"`
	VirtualServers map[string]*VirtualServer `json:"virtual_server"`
	Plugins        map[string]*Plugin        `json:"plugin"` // only those with a table of their own: see Plugin
	IPVS           IPVS                      `json:"ipvs"`
	Control        Control                   `json:"control"`

	// origins says where each check and Tracker.Probe stands in the file; nil in a Generation
	// that was not made by Load.
	origins map[*Check]origin
}

// Global is [global].
type Global struct {
	RouterID   string   `json:"router_id"`   // default: the host name
	RuntimeDir string   `json:"runtime_dir"` // default /run/halo
	PluginDirs []string `json:"plugin_dirs"` // default: plugins/ beside the halo binary, then /usr/lib/halo/plugins
	PluginUser string   `json:"plugin_user"` // default "halo" if that account exists, else "nobody"
	// Realtime is whether halo is scheduled in real time and locked in memory;
	// nil, the default, is where it has the privilege.
	Realtime *bool `json:"realtime"`
	// The longer rest of the two is how long instances only listen at first.
	StartupDelay   time.Duration `json:"startup_delay"`    // default 0, at most 1h: counted from the start of halo
	DelayAfterBoot time.Duration `json:"delay_after_boot"` // default 0, at most 1h: counted from the boot of the machine
	LogLevel       string        `json:"log_level"`        // debug, info (default), warn, error
}

// Instance is [vrrp_instance.NAME].
type Instance struct {
	Name          string        `json:"-"`
	Interface     string        `json:"interface"`
	VRID          uint8         `json:"virtual_router_id"`
	Version       uint8         `json:"version"`         // 2 or 3, default 3
	Priority      uint8         `json:"priority"`        // 1..255, default 100; 255 = address owner
	Interval      time.Duration `json:"advert_interval"` // default 1s; v2 whole seconds 1s..255s, v3 10ms..40.95s in steps of 10ms
	Preempt       bool          `json:"preempt"`         // default true
	PreemptDelay  time.Duration `json:"preempt_delay"`   // default 0, at most 1000s
	Addresses     []Address     `json:"addresses"`       // 1..255, advertised; without a length: /32 or /128
	SourceAddress netip.Addr    `json:"source_address"`  // default (invalid): the interface's first address
	Checksum      string        `json:"checksum"`        // v3 only: "pseudo-header" (default) or "plain"
	GARP          GARP          `json:"garp"`
	// Excluded move with Addresses and are not advertised. Routes and Rules are
	// there while the instance is active.
	Excluded []Address `json:"excluded_addresses"`
	Routes   []Route   `json:"routes"`
	Rules    []Rule    `json:"rules"`
	// UnicastPeers are the other routers, told one by one in place of the
	// multicast group; none is multicast.
	UnicastPeers []UnicastPeer `json:"unicast_peers"`
	// UnicastAnySource believes routers that are no peers; default false.
	UnicastAnySource bool `json:"unicast_any_source"`
	// AlsoV2 speaks and hears version 2 beside version 3 (RFC 9568 §8.4.2).
	AlsoV2          bool       `json:"also_version_2"`           // default false
	IgnoreLinkDown  bool       `json:"ignore_link_down"`         // default false: a link that is down is a fault
	Track           []TrackUse `json:"track"`                    // what its priority and its faults depend on
	TrackInterfaces []string   `json:"track_interfaces"`         // down = fault, beside its own
	Auth            *Auth      `json:"authentication,omitempty"` // nil = none
	VMAC            *VMAC      `json:"vmac,omitempty"`           // nil = the interface's own MAC address
	// Accept is whether packets to the addresses are taken while active
	// (RFC 9568 §6.1); default true.
	Accept bool `json:"accept"`
	// RouterAdvertisement makes hosts of IPv6 send to the instance by default;
	// nil = nobody is told.
	RouterAdvertisement *RouterAdvertisement `json:"router_advertisement,omitempty"`
}

// SyncGroup is [vrrp_sync_group.NAME]: virtual routers that move as one.
type SyncGroup struct {
	Name    string     `json:"-"`
	Members []string   `json:"members"` // 2..255 names of instances, each in one group at most
	Track   []TrackUse `json:"track"`   // counts for every member
}

// Tracker is [tracker.NAME]: something that virtual routers depend on. Which of
// the fields behind Reverse are used depends on the type.
type Tracker struct {
	Name string `json:"-"`
	Type string `json:"type"` // one of TrackerTypes, or one that a plugin provides
	// Weight is -253..253. More than 0 is added to the priority while the tracker
	// is up, less than 0 while it is down; 0, the default, is a fault while it is
	// down. An element of track may say otherwise.
	Weight  int  `json:"weight"`
	Reverse bool `json:"reverse"` // default false: up and down change places

	Interface     string     `json:"interface"`      // interface; address: where the address must be, default anywhere; bfd: to send through, default by route
	Address       netip.Addr `json:"address"`        // address
	VirtualServer string     `json:"virtual_server"` // service
	Path          string     `json:"path"`           // file: holds a number, which the weight is multiplied with

	Process        string        `json:"process"`         // process: a name, or with a slash a path
	Arguments      []string      `json:"arguments"`       // process; nil = any
	ArgumentMatch  string        `json:"argument_match"`  // process: "exact" (default), "first" or "initial"
	FullCommand    bool          `json:"full_command"`    // process: compare how it was called, not the name it has
	Quorum         int           `json:"quorum"`          // process: the least number, default 1
	QuorumMax      int           `json:"quorum_max"`      // process: the greatest number; -1 (default) = no limit
	Delay          time.Duration `json:"delay"`           // process: how long more processes must last, default 0
	TerminateDelay time.Duration `json:"terminate_delay"` // process: how long fewer must last, default 0

	BFD *BFD `json:"bfd,omitempty"` // bfd; nil for others

	// Probe is what a plugin observes; nil for TrackerTypes. Its Name is the
	// tracker's, and it has no target and no RetryInterval. Interval and Timeout
	// are 1s by default, Rise and Fall 1. In the file its keys stand with the
	// others.
	Probe    *Check `json:"probe,omitempty"`
	InitFail bool   `json:"init_fail"` // Probe: down until the first rise; default false
}

// BFD is what a tracker of type bfd watches: a session of Bidirectional
// Forwarding Detection (RFC 5880). In the file its keys stand with the others.
type BFD struct {
	Neighbor      netip.Addr    `json:"neighbor"`
	SourceAddress netip.Addr    `json:"source_address"` // default (invalid): the kernel chooses
	Multihop      bool          `json:"multihop"`       // default false: on this link (RFC 5881); true: RFC 5883
	Passive       bool          `json:"passive"`        // default false
	MinTx         time.Duration `json:"min_tx"`         // default 10ms, 1ms..1h: how often to send while up
	MinRx         time.Duration `json:"min_rx"`         // default 10ms, 1ms..1h: how often the neighbor may send
	IdleTx        time.Duration `json:"idle_tx"`        // default 1s, 1s..1h: how often to send while not up
	Multiplier    uint8         `json:"multiplier"`     // default 5, 1..255
	TTL           uint8         `json:"ttl"`            // default 255, 1..255: what packets leave with
	MaxHops       uint8         `json:"max_hops"`       // default 0: by how much the TTL may have fallen; 255 = any
}

// TrackUse is an element of track: the tracker's name, or a table that says
// what it weighs here.
type TrackUse struct {
	Tracker string `json:"tracker"`
	Weight  int    `json:"weight"`
	Reverse bool   `json:"reverse"`
}

// UnicastPeer is an element of unicast_peers: an address, or a table.
type UnicastPeer struct {
	Address netip.Addr `json:"address"`
	// MinTTL and MaxTTL bound the TTL with which its advertisements arrive; all
	// leave with 255. 0, the default, is no bound.
	MinTTL uint8 `json:"min_ttl"`
	MaxTTL uint8 `json:"max_ttl"`
}

// GARP is [vrrp_instance.NAME.garp].
type GARP struct {
	Repeat              int           `json:"repeat"`                // 1..100, default 5: packets per address per burst
	Delay               time.Duration `json:"delay"`                 // default 5s: second burst after becoming active; 0 = none
	Refresh             time.Duration `json:"refresh"`               // default 0 = off: periodic announcement while active
	RefreshRepeat       int           `json:"refresh_repeat"`        // default 1
	LowerPriorityRepeat int           `json:"lower_priority_repeat"` // default = repeat; 0 = do not announce then
	LowerPriorityDelay  time.Duration `json:"lower_priority_delay"`  // default = delay; 0 = no second burst then
}

// Auth is [vrrp_instance.NAME.authentication]. Types with a password are for VRRP
// version 2 only, and "hmac" is for both.
type Auth struct {
	Type     string `json:"type"`     // "pass" (default), "ah", "hmac"
	Password Secret `json:"password"` // not hmac: 1..8 bytes; never printed

	// What follows is hmac's.
	Keys       []*AuthKey    `json:"key"`         // at least one; ids unique
	ActiveKey  uint8         `json:"active_key"`  // the id of the one to send with
	Mode       string        `json:"mode"`        // "enforce" (default), "permissive", "receive-only"
	AntiReplay string        `json:"anti_replay"` // "time" (default), "monotonic"
	TimeWindow time.Duration `json:"time_window"` // whole seconds 1s..5m; default 3 intervals, at least 5s
}

// AuthKey is an element of key: a secret that routers sign with.
type AuthKey struct {
	ID uint8 `json:"id"` // 1..255
	// Secret is the key as wire.ParseKey takes it, be it from a file; empty only
	// where File could not be read by whoever checks a configuration. It is
	// never printed.
	Secret Secret `json:"secret"`
	File   string `json:"file"` // where Secret stands; empty: in halo.toml
}

// VirtualServer is [virtual_server.NAME].
type VirtualServer struct {
	Name        string         `json:"-"`
	Address     netip.AddrPort `json:"address"`
	Protocol    string         `json:"protocol"`     // "tcp" (default) or "udp"
	Scheduler   string         `json:"scheduler"`    // default "wlc"
	Forward     string         `json:"forward"`      // "nat" (default), "dr", "tun"
	Persistence time.Duration  `json:"persistence"`  // 0 (default) = off; whole seconds
	Quorum      int            `json:"quorum"`       // 1..2^31-1, default 1: total weight needed
	OnFailure   string         `json:"on_failure"`   // "remove" (default) or "quiesce"
	SorryServer netip.AddrPort `json:"sorry_server"` // invalid = none
	Servers     []*RealServer  `json:"real_server"`  // in file order, address unique
}

// RealServer is [[virtual_server.NAME.real_server]].
type RealServer struct {
	Address   netip.AddrPort `json:"address"`
	Weight    int            `json:"weight"`     // 0..2^31-1, default 1
	Forward   string         `json:"forward"`    // default: the virtual server's
	OnFailure string         `json:"on_failure"` // default: the virtual server's
	Checks    []*Check       `json:"check"`      // its own, or the virtual server's; empty = always in service
}

// Check is one element of check = [...]. Two checks with equal fields are the
// same probe definition, wherever they stand in the file: Equal compares them.
// The servers that inherit a virtual server's checks share its *Check values.
type Check struct {
	Name           string          `json:"name"` // default: the type, with "#2" and so on when that repeats; unique within a server
	Type           string          `json:"type"`
	Plugin         string          `json:"-"`               // which plugin provides Type (from the catalogue)
	Interval       time.Duration   `json:"interval"`        // default 5s
	Timeout        time.Duration   `json:"timeout"`         // default 3s, or Interval if that is shorter; a deadline for the whole probe
	RetryInterval  time.Duration   `json:"retry_interval"`  // default 1s, or Interval if that is shorter
	Rise           int             `json:"rise"`            // default 2
	Fall           int             `json:"fall"`            // default 3
	ConnectAddress netip.Addr      `json:"connect_address"` // default (invalid): the server's
	ConnectPort    uint16          `json:"connect_port"`    // default (0): the server's
	Bind           netip.Addr      `json:"bind"`            // default (invalid): the kernel chooses
	User           string          `json:"user"`            // user the plugin process runs as; default Global.PluginUser
	Settings       json.RawMessage `json:"-"`               // the type's own keys as a JSON object with sorted keys, "{}" without any
	Sensitive      []string        `json:"-"`               // the keys of Settings that are never printed, sorted
	Capabilities   []string        `json:"-"`               // what the used settings need of the plugin's process ("net_raw"), all granted
}

// Plugin is [plugin.NAME]. A plugin without a table has the defaults, which
// Generation.Plugin gives.
type Plugin struct {
	Name         string        `json:"-"`
	OnPluginLoss string        `json:"on_plugin_loss"` // "hold" (default) or "fail"
	PluginGrace  time.Duration `json:"plugin_grace"`   // default 30s
	SHA256       string        `json:"sha256"`         // 64 lower-case hex digits or empty
	Capabilities []string      `json:"capabilities"`   // granted when a used setting needs them: "net_raw"; sorted
	Env          Environment   `json:"env"`            // added to the short allow-list a plugin inherits
}

// IPVS is [ipvs].
type IPVS struct {
	ResyncInterval time.Duration `json:"resync_interval"` // default 5s, 1s..1h: how often the kernel's table is compared
}

// Control is [control].
type Control struct {
	Socket  string `json:"socket"`  // default RuntimeDir/halo.sock
	Metrics string `json:"metrics"` // "IP:port" or empty = off
}

// Plugin returns the settings of the plugin called name: those of its table,
// or the defaults when the file has none.
func (g Generation) Plugin(name string) *Plugin {
	if p, ok := g.Plugins[name]; ok {
		return p
	}
	return &Plugin{Name: name, OnPluginLoss: defaultOnPluginLoss, PluginGrace: defaultPluginGrace}
}
