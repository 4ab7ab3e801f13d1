// Package pluginhost finds plugin binaries, decides whether they may be
// trusted, runs them as unprivileged processes and keeps them running.
//
// A plugin is treated as hostile and as mortal. Everything it says is bounded,
// everything it is given is taken away again when it ends, and nothing here
// ever waits for it without a deadline. The package never interprets a result:
// messages go to the Listener, which core/daemon connects to core/checks. It
// never touches an address, a route or an IPVS table, and no caller that has
// an advertisement to send ever waits for it: Apply, Restart and Snapshots
// only post or read values.
//
//	           Apply, Restart                       Listener
//	daemon ───────────────────▶ Host                    ▲ SessionOpened, MessageReceived, SessionLost
//	                             │ one per Identity     │
//	                             ▼                      │
//	                          process (supervise) ──────┘
//	                             │ launch        ▲ messages, heartbeats   ▲ death
//	                             ▼               │ (receive goroutine)    │ (pidfd goroutine)
//	        spawner ◀──────── instance ──────────┴────────────────────────┘
//	  (locked to its thread)     │ go-plugin client, session stream
//	                             ▼
//	                      halo-check-tcp  (own session, user, socket directory, lifeline)
//
// A Host is safe for use from any number of goroutines. Each process has one
// supervising goroutine that owns its life; the spawner is one goroutine that
// stays locked to its operating system thread for as long as the Host lives,
// because the kernel ties the parent-death signal to the thread that forked.
//
// Read Host first, then process, then instance.
package pluginhost
