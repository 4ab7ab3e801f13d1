package pluginhost

import (
	"time"

	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/schema"
)

// Identity names one process: a plugin, run as a user. The same plugin wanted
// as two users is two processes.
type Identity struct {
	// Plugin is the file's name, "halo-check-tcp".
	Plugin string
	// User is the account's name or number.
	User string
}

// String returns "halo-check-tcp as nobody".
func (i Identity) String() string { return i.Plugin + " as " + i.User }

// Spec is a process that is wanted, and how.
type Spec struct {
	Identity
	// SHA256 pins the file's content; empty means any content.
	SHA256 string
	// Capabilities are granted to the process, by the kernel's names in small
	// letters ("net_raw"); empty means none.
	Capabilities []string
	// Env is added to the environment.
	Env map[string]string
}

// State is where a process is in its life.
type State string

// The states. A process moves from installed over starting to running; what
// interrupts it leads to backoff (it is started again soon), failed (it failed
// so often that it is started again only every few minutes), refused (it
// cannot work until somebody changes something) or stopping.
const (
	StateInstalled    State = "installed" // found, not needed
	StateStarting     State = "starting"
	StateRunning      State = "running"
	StateUnresponsive State = "unresponsive" // a heartbeat is missing; killed if the next ones are
	StateBackoff      State = "backoff"
	StateFailed       State = "failed"
	StateRefused      State = "refused"
	StateStopping     State = "stopping"
)

// Snapshot is what there is to tell about a plugin or one of its processes.
type Snapshot struct {
	Identity
	State State
	// Since is when State was entered.
	Since time.Time
	// Path is the file it was found as; empty when there is none.
	Path    string
	Shadows []string
	// Version, Protocol and Types are the plugin's own words. Protocol is the
	// negotiated version, or the highest common one when it is not running; zero
	// when there is none.
	Version  string
	Protocol int
	Types    []schema.Type
	// PID is zero when no process runs. RunsAs is the user it really runs as,
	// which differs from User when the daemon may not change users.
	PID    int
	RunsAs string
	// Started is when the running process opened its session; zero when none runs.
	Started time.Time
	// Incarnation numbers the processes of this Host; it identifies one in logs and sessions.
	Incarnation uint64
	// Restarts counts the starts after the first.
	Restarts int
	// Probes is how many the process was given.
	Probes int
	// Heartbeat is the last one, of the running process.
	Heartbeat host.Heartbeat
	// LastError says why the last process ended or could not start; it stays
	// when the next one runs. LastWords are the last lines it wrote to stderr.
	LastError string
	LastWords []string
	// Warnings name what is limited: types that cannot be used, a user that
	// cannot be changed.
	Warnings []string
}

// Listener is told about sessions. For one process the calls come one after
// the other; while one runs, only that process waits. Heartbeats wait behind
// MessageReceived, too, so it must be done within a second.
//
// A process that is wanted again while its predecessor is still ending has a
// higher incarnation, by which a listener tells the two apart.
type Listener interface {
	// SessionOpened hands over a session with a process that knows nothing
	// yet. It must not block: the sending belongs in another goroutine.
	SessionOpened(id Identity, incarnation uint64, s *Session)
	// MessageReceived passes on *host.Committed and *host.Results, as the
	// plugin sent them. Nothing in them has been checked but their amount.
	MessageReceived(id Identity, incarnation uint64, m host.Message)
	// SessionLost says that the process is gone, or treated as gone. Nothing
	// of this incarnation follows. It must not block.
	SessionLost(id Identity, incarnation uint64, cause string)
}
