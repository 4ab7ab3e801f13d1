// Package daemon is halo itself: the only package that knows all the others.
// It loads the configuration, opens the edges of the kernel, connects the
// drivers with each other, applies reloads as differences and stops everything
// in the right order. It decides nothing that another package could decide.
//
//	config ──▶ Daemon ──▶ speaker ◀──▶ vip        one speaker per interface, one owner of addresses
//	             │  ▲       ▲  ▲         │
//	             │  │       │  └─ rtnl monitor: links and addresses
//	             │  │       └──── rawsock: VRRP, ARP, alarm
//	             │  └─ control: status, reload
//	             ├──▶ balance ──▶ ipvsnl          one goroutine, one table
//	             │      ▲ pool events
//	             └──▶ checks ◀──▶ pluginhost ──▶ plugin processes
//
// Nothing here stands between a virtual router and its wire: the daemon hands
// the speaker its parts and is told afterwards what happened.
//
// Read Daemon in daemon.go first, then apply in apply.go.
package daemon
