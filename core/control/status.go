// Package control is how people and machines talk to a running halo: HTTP and
// JSON over a unix socket, and Prometheus metrics over TCP when asked for.
//
// The package holds the documents (Status, PluginList, ReloadReport), the
// server that answers with them and the client the command line uses. It never
// caches: each answer is made when it is asked for, carries the time it was
// made and the generation it describes, and a daemon that hangs yields a
// time-out instead of old news. It decides nothing; Backend does.
//
// Read Status first, then Backend.
package control

import "time"

// Schema is the version of every JSON document here. Fields are only ever
// added within a version; removing or changing one raises it.
const Schema = 1

// Status is the answer of `halo status --json`.
type Status struct {
	Schema     int       `json:"schema"`
	Version    string    `json:"version"`
	RouterID   string    `json:"router_id"`
	PID        int       `json:"pid"`
	Generation uint64    `json:"generation"` // 0 while starting, then 1, one more for each reload that changed something
	Started    time.Time `json:"started"`
	Time       time.Time `json:"time"` // when this answer was made

	Config ConfigStatus `json:"config"`
	// Degraded lists what does not work and what to do, one sentence each;
	// empty means all is well with halo itself.
	Degraded []string `json:"degraded"`

	VRRPInstances  map[string]VRRPInstance  `json:"vrrp_instances"`
	VRRPSyncGroups map[string]VRRPSyncGroup `json:"vrrp_sync_groups"`
	Static         *Entries                 `json:"static,omitempty"` // there whatever the elections say
	Trackers       map[string]Tracker       `json:"trackers"`
	// VRRPForeign lists whose advertisements of ids that are not ours are heard
	// on the interfaces that are spoken on.
	VRRPForeign    []ForeignRouter          `json:"vrrp_foreign"`
	VirtualServers map[string]VirtualServer `json:"virtual_servers"`
	IPVS           IPVS                     `json:"ipvs"`
	Plugins        map[string]Plugin        `json:"plugins"`
	Events         EventsStatus             `json:"events"`
}

// EventsStatus counts what has happened: see Events.
type EventsStatus struct {
	Last uint64 `json:"last"` // the number of the newest, and so how many there were
	Kept int    `json:"kept"` // how many of them can still be read
	// Dropped is how many could not be recorded, because too much happened to
	// virtual routers at once.
	Dropped uint64 `json:"dropped"`
}

// ConfigStatus tells which file runs and how the last reload went.
type ConfigStatus struct {
	File           string    `json:"file"`
	Loaded         time.Time `json:"loaded"`           // when the running generation was applied
	LastReload     time.Time `json:"last_reload"`      // the last attempt; the start counts
	LastReloadOK   bool      `json:"last_reload_ok"`   // false: the file on disk was refused
	LastReloadNote string    `json:"last_reload_note"` // the first problem of a refused reload
}

// VRRPInstance is one virtual router.
type VRRPInstance struct {
	State           string    `json:"state"` // initialize, backup, active, fault
	Since           time.Time `json:"since"`
	Reason          string    `json:"reason"`
	Faults          []string  `json:"faults"` // causes, empty unless state is fault
	SyncGroup       string    `json:"sync_group,omitempty"`
	Family          string    `json:"family"` // ipv4, ipv6
	Interface       string    `json:"interface"`
	VirtualRouterID uint8     `json:"virtual_router_id"`
	Version         uint8     `json:"version"`
	// Authentication is null without any.
	Authentication    *Authentication `json:"authentication"`
	Priority          uint8           `json:"priority"`
	EffectivePriority uint8           `json:"effective_priority"`
	SourceAddress     string          `json:"source_address"` // empty when the interface has none
	// VirtualMAC is the MAC address that moves with the addresses, and
	// VirtualInterface the link that has it; both absent without one.
	VirtualMAC       string `json:"virtual_mac,omitempty"`
	VirtualInterface string `json:"virtual_interface,omitempty"`
	Accept           bool   `json:"accept"` // packets to the addresses are taken
	// AdvertInterval is the configured one in seconds; ActiveAdvertInterval
	// is the one in force, learned from the active router in version 3.
	AdvertInterval       float64 `json:"advert_interval"`
	ActiveAdvertInterval float64 `json:"active_advert_interval"`
	Entries
	Peer         *Peer         `json:"peer"` // the last router heard, null when none
	Mismatches   []string      `json:"mismatches"`
	UnicastPeers []UnicastPeer `json:"unicast_peers,omitempty"`
	Conflicts    []Conflict    `json:"conflicts"` // who else claims the addresses, while active
	// RouterAdvertisement is there where hosts of IPv6 are to be told.
	RouterAdvertisement *RouterAdvertisement `json:"router_advertisement,omitempty"`
	Counters            map[string]uint64    `json:"counters"`
	AdvertLateness      map[string]float64   `json:"advert_lateness"` // seconds: "max"
	AdvertGap           map[string]float64   `json:"advert_gap"`      // seconds between own advertisements while active: "max"
	// The same two as counts of what was at most that long.
	AdvertLatenessHistogram Histogram `json:"advert_lateness_histogram"`
	AdvertGapHistogram      Histogram `json:"advert_gap_histogram"`
}

// Authentication is how a virtual router authenticates its advertisements. All but
// the type is there for hmac only. Secrets are not.
type Authentication struct {
	Type       string  `json:"type"`                  // pass, ah, hmac
	Mode       string  `json:"mode,omitempty"`        // enforce, permissive, receive-only
	Keys       []int   `json:"keys,omitempty"`        // ids of the keys that are believed
	ActiveKey  uint8   `json:"active_key,omitempty"`  // the one it sends with
	AntiReplay string  `json:"anti_replay,omitempty"` // time, monotonic
	TimeWindow float64 `json:"time_window,omitempty"` // seconds that clocks may be apart; absent for monotonic
}

// VRRPSyncGroup is virtual routers that move as one.
type VRRPSyncGroup struct {
	State    string    `json:"state"` // as of an instance, once all members have arrived there
	Since    time.Time `json:"since"` // zero before the first state
	Reason   string    `json:"reason"`
	Priority uint8     `json:"priority"` // what all members advertise
	Members  []string  `json:"members"`
}

// Tracker is something that virtual routers depend on.
type Tracker struct {
	Type   string    `json:"type"`
	State  string    `json:"state"` // unknown, up, down
	Since  time.Time `json:"since"` // zero before the first observation
	Reason string    `json:"reason"`
	// Instances are those that it moves or holds up at this moment, by how much;
	// 0 is a fault.
	Instances map[string]int `json:"instances"`
	// Last is what a plugin found last; absent when halo itself observes.
	Last *Observation `json:"last,omitempty"`
}

// Observation is the last result of a plugin that observes for a tracker.
type Observation struct {
	Plugin  string             `json:"plugin"`
	Outcome string             `json:"outcome"` // unknown, pass, fail
	Reason  string             `json:"reason"`
	Detail  string             `json:"detail"`
	Took    float64            `json:"took"` // seconds
	Age     float64            `json:"age"`  // seconds since the last result, -1 before the first
	Metrics map[string]float64 `json:"metrics,omitempty"`
}

// ForeignRouter is a router of a group that this machine is not in.
type ForeignRouter struct {
	Interface       string    `json:"interface"`
	Family          string    `json:"family"`
	VirtualRouterID uint8     `json:"virtual_router_id"`
	Source          string    `json:"source"`
	Packets         uint64    `json:"packets"`
	Last            time.Time `json:"last"`
}

// Entries are what is to be in the kernel's tables.
type Entries struct {
	Addresses  []VirtualAddress `json:"addresses"`
	Routes     []VirtualEntry   `json:"routes,omitempty"`
	Rules      []VirtualEntry   `json:"rules,omitempty"`
	EntryError string           `json:"entry_error,omitempty"` // why the last attempt to put something there failed
}

// VirtualAddress is one address of a virtual router.
type VirtualAddress struct {
	Address  string `json:"address"` // with prefix length
	Present  bool   `json:"present"` // on this machine, as the kernel says
	Restores uint64 `json:"restores"`
	// Interface is empty for the instance's.
	Interface string `json:"interface,omitempty"`
	Excluded  bool   `json:"excluded,omitempty"` // not in the advertisements
}

// VirtualEntry is one route or rule of a virtual router.
type VirtualEntry struct {
	Entry    string `json:"entry"`   // in the words of ip(8)
	Present  bool   `json:"present"` // on this machine, as the kernel says
	Restores uint64 `json:"restores"`
}

// Histogram counts durations.
type Histogram struct {
	Count   uint64   `json:"count"`
	Sum     float64  `json:"sum"` // seconds
	Buckets []Bucket `json:"buckets"`
}

// Bucket is how many durations were at most so long.
type Bucket struct {
	AtMost float64 `json:"at_most"` // seconds
	Count  uint64  `json:"count"`
}

// UnicastPeer is a router that is told one by one.
type UnicastPeer struct {
	Address    string `json:"address"`
	Received   uint64 `json:"received"` // packets from it, whether they counted or not
	Sent       uint64 `json:"sent"`
	SendErrors uint64 `json:"send_errors"`
	SendError  string `json:"send_error"` // the last one
}

// Conflict is a machine that says that a virtual address is its own.
type Conflict struct {
	Address string    `json:"address"`
	MAC     string    `json:"mac"`
	Last    time.Time `json:"last"`
	Packets uint64    `json:"packets"`
}

// RouterAdvertisement is what hosts of IPv6 are told of a virtual router.
type RouterAdvertisement struct {
	State     string `json:"state"`     // silent (not active), advertising, withdrawing (taking back what was said)
	Source    string `json:"source"`    // the address that hosts know
	Interface string `json:"interface"` // where; empty while silent
	// DefaultRouter says that hosts are told to send here by default.
	DefaultRouter bool      `json:"default_router"`
	Last          time.Time `json:"last"` // zero before the first advertisement
	Next          time.Time `json:"next"` // zero while silent
	Sent          uint64    `json:"sent"`
	Solicitations uint64    `json:"solicitations"` // of hosts, that were answered
}

// Peer is the router last heard for a VRID.
type Peer struct {
	Address  string    `json:"address"`
	Priority uint8     `json:"priority"`
	Heard    time.Time `json:"heard"`
}

// VirtualServer is one balanced service.
type VirtualServer struct {
	State       string                `json:"state"` // up: quorum reached; down: not
	Since       time.Time             `json:"since"`
	Reason      string                `json:"reason"`
	Address     string                `json:"address"`
	Protocol    string                `json:"protocol"`
	Scheduler   string                `json:"scheduler"`
	Forward     string                `json:"forward"`
	Quorum      int                   `json:"quorum"`
	Weight      int                   `json:"weight"` // total weight of the servers that are up
	SorryServer string                `json:"sorry_server"`
	SorryActive bool                  `json:"sorry_active"`
	RealServers map[string]RealServer `json:"real_servers"` // by "IP:port"
}

// RealServer is one server behind a service.
type RealServer struct {
	State     string    `json:"state"`      // unknown, up, down
	Weight    int       `json:"weight"`     // wanted in the kernel's table
	InService bool      `json:"in_service"` // takes new connections
	Since     time.Time `json:"since"`
	Reason    string    `json:"reason"`
	Checks    []Check   `json:"checks"`
}

// Check is one probe of a real server.
type Check struct {
	Name    string             `json:"name"`
	Type    string             `json:"type"`
	State   string             `json:"state"`   // unknown, up, down: after rise and fall
	Outcome string             `json:"outcome"` // unknown, pass, fail: the last result
	Reason  string             `json:"reason"`
	Detail  string             `json:"detail"`
	Took    float64            `json:"took"` // seconds
	Age     float64            `json:"age"`  // seconds since the last result, -1 before the first
	Weight  *int               `json:"weight,omitempty"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
}

// IPVS is the state of the kernel's table.
type IPVS struct {
	InUse    bool      `json:"in_use"` // false: no virtual server is configured
	Synced   bool      `json:"synced"` // the kernel has what is wanted
	LastSync time.Time `json:"last_sync"`
	Drifts   uint64    `json:"drifts"` // changes by others that were repaired
	Error    string    `json:"error"`
}

// Plugin is one plugin process, or a binary that is not running.
type Plugin struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Protocol  int      `json:"protocol"` // negotiated; 0 while not running
	Types     []string `json:"types"`    // "check tcp"
	Path      string   `json:"path"`
	State     string   `json:"state"`
	PID       int      `json:"pid"`
	User      string   `json:"user"`
	Restarts  int      `json:"restarts"`
	Probes    int      `json:"probes"`
	LastError string   `json:"last_error"`
}

// PluginList is the answer of `halo plugin list --json`.
type PluginList struct {
	Schema  int      `json:"schema"`
	Plugins []Plugin `json:"plugins"`
}

// ReloadReport is the answer to a reload.
type ReloadReport struct {
	Schema     int      `json:"schema"`
	Applied    bool     `json:"applied"`
	Generation uint64   `json:"generation"` // the one that runs now
	Changes    []string `json:"changes"`    // one line per object that changed
	Problems   []string `json:"problems"`   // why it was refused, file:line:column first
	Warnings   []string `json:"warnings"`
}
