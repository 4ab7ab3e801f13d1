package main

import (
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/control"
)

// What hosts are told stands in a table of its own, for the routers that tell them.
func TestStatusTellsOfAdvertisements(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := control.Status{Time: now, Config: control.ConfigStatus{LastReloadOK: true}, VRRPInstances: map[string]control.VRRPInstance{
		"a": {}, "c": {RouterAdvertisement: &control.RouterAdvertisement{State: "silent", Source: "fe80::11"}},
		"b": {RouterAdvertisement: &control.RouterAdvertisement{
			State: "advertising", Source: "fe80::10", Interface: "eth0", DefaultRouter: true, Sent: 12, Solicitations: 3, Next: now.Add(90 * time.Second),
		}},
	}}
	var text strings.Builder
	if err := printStatus(&text, s, false); err != nil {
		t.Fatal(err)
	}
	const want = `
ROUTER ADVERTISEMENTS  STATE        SOURCE    INTERFACE  DEFAULT ROUTER  SENT  SOLICITED  NEXT IN
b                      advertising  fe80::10  eth0       yes             12    3          1m30s
c                      silent       fe80::11  -          no              0     0          -
`
	if !strings.Contains(text.String(), want) {
		t.Errorf("printed\n%s\nwant%s", text.String(), want)
	}
	s.VRRPInstances = map[string]control.VRRPInstance{"a": {}}
	text.Reset()
	if err := printStatus(&text, s, false); err != nil || strings.Contains(text.String(), "ADVERTISEMENTS") {
		t.Errorf("printed\n%s, %v", text.String(), err)
	}
}
