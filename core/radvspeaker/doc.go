// Package radvspeaker drives the Router Advertisements of a machine: it finds out
// which virtual routers are to advertise themselves, turns solicitations and
// deadlines into events for radv.Advertiser, and its actions into messages.
//
// A router advertises while three things are true: it is configured to, it is
// active, and its link-local address is on a link that is up. The Speaker is told
// of each, by Apply, SetActive and SetLinks, which leave a note and return at once;
// its one goroutine compares. So no order of events, and no event too many, makes a
// router speak that should not, and one whose address was taken away falls silent
// whatever the election says.
//
// It stands beside the election and never in its way: advertisements of VRRP go out
// elsewhere, and nobody there waits for anything here.
//
// Read Speaker first, then reconcile in router.go.
package radvspeaker
