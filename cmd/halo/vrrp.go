package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func vrrpCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "vrrp",
		Short:   "Look at VRRP on the wire",
		Example: "  halo vrrp scan eth0",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(vrrpScanCommand())
	return cmd
}

func vrrpScanCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scan INTERFACE",
		Short: "List the virtual routers that advertise on an interface, and the free ids",
		Long: `Listens on an interface for VRRP over IPv4 and IPv6, of any version and with any
authentication, and lists who advertises which virtual router id. What this
machine itself advertises is not heard: ` + "`halo status`" + ` has it. Nothing is sent, and
no daemon is needed; CAP_NET_RAW is.

An id that nobody advertised is free as far as this listening went: a router in
fault, or one with a longer interval, was not heard.

Exit status: 0 listened, 1 the interface cannot be listened on.`,
		Example: "  halo vrrp scan eth0\n  halo vrrp scan eth0 --for 10s --json",
		Args:    exactly(1, "one interface"),
	}
	listen := cmd.Flags().Duration("for", 5*time.Second, "how long to listen")
	asJSON := cmd.Flags().Bool("json", false, "print JSON (schema 1)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *listen <= 0 {
			return usageError{fmt.Errorf("--for %s is no time to listen; see `%s --help`", *listen, cmd.CommandPath())}
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), *listen)
		defer cancel()
		found, err := scan(ctx, args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), found)
		}
		return printScan(cmd.OutOrStdout(), found, *listen)
	}
	return cmd
}

// scanResult is the document of `halo vrrp scan --json`.
type scanResult struct {
	Schema    int         `json:"schema"`
	Interface string      `json:"interface"`
	Routers   []*sighting `json:"routers"`
	Free      []uint8     `json:"free"` // ids that nobody advertised, in either family
	seen      map[key]*sighting
}

// key is one router: several may advertise an id at once, which is a conflict.
type key struct {
	family wire.Family
	vrid   uint8
	source netip.Addr
}

// sighting is one router that was heard.
type sighting struct {
	Family          string   `json:"family"` // ipv4, ipv6
	VirtualRouterID uint8    `json:"virtual_router_id"`
	Version         uint8    `json:"version"`
	Source          string   `json:"source"`
	Priority        uint8    `json:"priority"`
	AdvertInterval  float64  `json:"advert_interval"` // seconds
	Addresses       []string `json:"addresses"`
	Authentication  string   `json:"authentication"`   // none, pass, ah, hmac
	KeyID           uint8    `json:"key_id,omitempty"` // which key it signs with; hmac only
	Heard           uint64   `json:"heard"`            // advertisements
	// Problem is why no router would believe the last one, empty if nothing is
	// wrong with it.
	Problem string `json:"problem"`
}

// scan listens on every kind of socket that VRRP comes by until ctx ends.
func scan(ctx context.Context, iface string) (*scanResult, error) {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: there is no such interface", iface)
	}
	ready := make(chan struct{}, 1)
	type socket struct {
		*rawsock.VRRP
		family wire.Family
	}
	var sockets []socket
	defer func() {
		for _, s := range sockets {
			_ = s.Close() // Nothing was sent.
		}
	}()
	var failures []error
	for _, t := range []rawsock.Transport{
		{Interface: iface, Index: link.Index, Family: wire.IPv4, Group: true},
		{Interface: iface, Index: link.Index, Family: wire.IPv4, Group: true, AH: true},
		{Interface: iface, Index: link.Index, Family: wire.IPv6, Group: true},
	} {
		v, err := rawsock.OpenTransport(t, ready)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		sockets = append(sockets, socket{v, t.Family})
	}
	if len(sockets) == 0 {
		return nil, errors.Join(failures...) // A machine without IPv6 lacks only that.
	}
	found := &scanResult{Schema: control.Schema, Interface: iface, Routers: []*sighting{}, seen: map[key]*sighting{}}
	buf := make([]byte, 60+wire.MaxLengthIPv6)
	for {
		for _, s := range sockets {
			for {
				payload, meta, err := s.Receive(buf)
				if err != nil {
					return nil, err
				}
				if payload == nil {
					break
				}
				found.add(payload, meta, s.family)
			}
		}
		select {
		case <-ctx.Done():
			found.finish()
			return found, nil
		case <-ready:
		}
	}
}

// add takes one packet in.
func (r *scanResult) add(payload []byte, meta wire.Meta, family wire.Family) {
	vrid, ok := wire.VRID(payload)
	if !ok {
		return
	}
	// What a peer expects is not known, so it is what the packet itself says:
	// first it is read, then judged by that.
	var a wire.Advertisement
	expect := wire.Expect{Version: wire.Version(payload[0] >> 4), Family: family, Group: meta.Destination}
	trailer, signed := wire.TrailerOf(payload, family)
	if signed {
		expect.HMAC = someKey()
	}
	if _, drop := expect.Check(payload, meta, &a); drop != wire.DropLength {
		expect.Interval, expect.Addresses = a.Interval, a.Addresses
	}
	_, drop := expect.Check(payload, meta, &a)
	k := key{family, vrid, meta.Source}
	s := r.seen[k]
	if s == nil {
		s = &sighting{Family: family.String(), VirtualRouterID: vrid, Source: meta.Source.String(), Addresses: []string{}}
		r.seen[k] = s
		r.Routers = append(r.Routers, s)
	}
	s.Heard++
	s.Version, s.Problem, s.KeyID = payload[0]>>4, "", 0
	// Whether an authentication is the right one, nobody can tell from here.
	switch drop { //nolint:exhaustive // All others are problems.
	case wire.DropNone, wire.DropAuthType, wire.DropHMACUnknownKey, wire.DropHMACInvalid:
	default:
		s.Problem = drop.String()
	}
	if drop == wire.DropLength {
		return
	}
	s.Priority, s.AdvertInterval, s.Authentication = a.Priority, a.Interval.Seconds(), a.Auth.Type.String()
	if meta.AH.Present {
		s.Authentication = wire.AuthHeader.String()
	}
	if signed {
		s.Authentication, s.KeyID = "hmac", trailer.KeyID
	}
	s.Addresses = s.Addresses[:0]
	for _, address := range a.Addresses {
		s.Addresses = append(s.Addresses, address.String())
	}
}

// someKey makes trailers be looked at, as far as that can be done without the key:
// also whether the sender's clock is anywhere near this one.
func someKey() wire.HMAC {
	k, err := wire.ParseKey(1, strings.Repeat("?", wire.MinKeyLength))
	if err != nil {
		return wire.HMAC{}
	}
	ring, err := wire.NewKeyRing(1, k)
	if err != nil {
		return wire.HMAC{}
	}
	return wire.HMAC{Keys: ring, Mode: wire.ReceiveOnly, Window: wire.MaxWindow}
}

// authentication is how it signs, and with which key.
func (s *sighting) authentication() string {
	if s.KeyID != 0 {
		return s.Authentication + " " + strconv.Itoa(int(s.KeyID))
	}
	return s.Authentication
}

// finish sorts what was heard and lists what is free.
func (r *scanResult) finish() {
	slices.SortFunc(r.Routers, func(a, b *sighting) int {
		return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.VirtualRouterID, b.VirtualRouterID), cmp.Compare(a.Source, b.Source))
	})
	taken := map[uint8]bool{}
	for _, s := range r.Routers {
		taken[s.VirtualRouterID] = true
	}
	for vrid := 1; vrid <= 255; vrid++ {
		if !taken[uint8(vrid)] {
			r.Free = append(r.Free, uint8(vrid))
		}
	}
}

func printScan(w io.Writer, r *scanResult, listened time.Duration) error {
	p := columns(w)
	if len(r.Routers) == 0 {
		p.line("Nobody advertised on %s within %s.", r.Interface, listened)
	} else {
		p.line("VRID\tFAMILY\tVERSION\tSOURCE\tPRIORITY\tINTERVAL\tAUTH\tHEARD\tADDRESSES\tPROBLEM")
	}
	for _, s := range r.Routers {
		const most = 3
		shown, more := s.Addresses, ""
		if len(shown) > most {
			shown, more = shown[:most], fmt.Sprintf(" and %d more", len(shown)-most)
		}
		p.line("%d\t%s\t%d\t%s\t%d\t%s\t%s\t%d\t%s%s\t%s", s.VirtualRouterID, s.Family, s.Version, s.Source, s.Priority,
			time.Duration(s.AdvertInterval*float64(time.Second)), s.authentication(), s.Heard, strings.Join(shown, " "), more, cmp.Or(s.Problem, "-"))
	}
	p.line("Free ids: %s", spans(r.Free))
	return p.done()
}

// spans writes ascending numbers as "1-50, 52-255".
func spans(numbers []uint8) string {
	if len(numbers) == 0 {
		return "none"
	}
	var words []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if i == j {
			words = append(words, strconv.Itoa(int(numbers[i])))
		} else {
			words = append(words, fmt.Sprintf("%d-%d", numbers[i], numbers[j]))
		}
		i = j + 1
	}
	return strings.Join(words, ", ")
}
