package convert

import (
	"fmt"
	"math"
	"net/netip"
	"time"
	"unique"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/halo-ha/halo/sdk/check"
	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
	"github.com/halo-ha/halo/sdk/internal/session"
)

// ToProbes makes messages of probes. Values that the wire cannot hold (a
// negative duration, invalid UTF-8) do not come out of a validated
// configuration; the plugin refuses them.
func ToProbes(from []session.Probe) []*pb.Probe {
	to := make([]*pb.Probe, 0, len(from))
	for i := range from {
		to = append(to, toProbe(&from[i]))
	}
	return to
}

func toProbe(p *session.Probe) *pb.Probe {
	return &pb.Probe{
		Id:      p.ID,
		Type:    p.Type,
		Tracker: p.Tracker,
		Target: &pb.Target{
			Address:        addrText(p.Target.Address),
			Port:           uint32(p.Target.Port),
			RealServer:     addrPortText(p.Target.RealServer),
			VirtualServer:  p.Target.VirtualServer,
			VirtualAddress: addrPortText(p.Target.VirtualAddress),
			Protocol:       p.Target.Protocol,
			Bind:           addrText(p.Target.Bind),
		},
		SettingsJson: p.Settings,
		Schedule: &pb.Schedule{
			Interval:      durationpb.New(p.Schedule.Interval),
			RetryInterval: durationpb.New(p.Schedule.RetryInterval),
			Timeout:       durationpb.New(p.Schedule.Timeout),
			Rise:          toInt32(p.Schedule.Rise),
			Fall:          toInt32(p.Schedule.Fall),
		},
		LastOutcome: pb.Outcome(p.LastOutcome),
	}
}

// FromProbe reads one probe and refuses what a scheduler cannot use.
//
// Texts that repeat in every probe are kept once: ten thousand probes mostly
// differ in their address alone.
func FromProbe(from *pb.Probe) (session.Probe, error) {
	p := session.Probe{
		ID:          from.GetId(),
		Type:        once(from.GetType()),
		Tracker:     from.GetTracker(),
		Settings:    from.GetSettingsJson(),
		LastOutcome: FromOutcome(from.GetLastOutcome()),
	}
	var err error
	if p.Target, err = fromTarget(from.GetTarget()); err != nil {
		return session.Probe{}, fmt.Errorf("probe %d: %w", p.ID, err)
	}
	if p.Schedule, err = fromSchedule(from.GetSchedule()); err != nil {
		return session.Probe{}, fmt.Errorf("probe %d: %w", p.ID, err)
	}
	return p, nil
}

func fromTarget(from *pb.Target) (check.Target, error) {
	t := check.Target{
		VirtualServer: once(from.GetVirtualServer()),
		Protocol:      once(from.GetProtocol()),
	}
	if from.GetPort() > math.MaxUint16 {
		return t, fmt.Errorf("port %d: above 65535", from.GetPort())
	}
	t.Port = uint16(from.GetPort()) //nolint:gosec // Checked above.
	var err error
	if t.Address, err = parseAddr(from.GetAddress()); err != nil {
		return t, fmt.Errorf("address: %w", err)
	}
	if t.Bind, err = parseAddr(from.GetBind()); err != nil {
		return t, fmt.Errorf("bind: %w", err)
	}
	if t.RealServer, err = parseAddrPort(from.GetRealServer()); err != nil {
		return t, fmt.Errorf("real server: %w", err)
	}
	if t.VirtualAddress, err = parseAddrPort(from.GetVirtualAddress()); err != nil {
		return t, fmt.Errorf("virtual address: %w", err)
	}
	return t, nil
}

func fromSchedule(from *pb.Schedule) (session.Schedule, error) {
	s := session.Schedule{Rise: int(from.GetRise()), Fall: int(from.GetFall())}
	for _, field := range []struct {
		name string
		from *durationpb.Duration
		to   *time.Duration
	}{
		{"interval", from.GetInterval(), &s.Interval},
		{"retry interval", from.GetRetryInterval(), &s.RetryInterval},
		{"timeout", from.GetTimeout(), &s.Timeout},
	} {
		if err := field.from.CheckValid(); err != nil {
			return s, fmt.Errorf("%s: %w", field.name, err)
		}
		*field.to = field.from.AsDuration()
		if *field.to <= 0 {
			return s, fmt.Errorf("%s %v: not above zero", field.name, *field.to)
		}
	}
	if s.Rise < 1 || s.Fall < 1 {
		return s, fmt.Errorf("rise %d, fall %d: below one", s.Rise, s.Fall)
	}
	return s, nil
}

// Equal reports whether two probes are the same definition. LastOutcome is not
// part of it: it only matters to a probe that has no history yet.
func Equal(a, b *session.Probe) bool {
	return a.ID == b.ID && a.Type == b.Type && a.Tracker == b.Tracker && a.Target == b.Target &&
		a.Schedule == b.Schedule && string(a.Settings) == string(b.Settings)
}

func once(text string) string {
	if text == "" {
		return ""
	}
	return unique.Make(text).Value()
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func addrPortText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func parseAddr(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(text)
}

func parseAddrPort(text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, nil
	}
	return netip.ParseAddrPort(text)
}

func toInt32(n int) int32 {
	return int32(min(max(n, math.MinInt32), math.MaxInt32)) //nolint:gosec // Cut to fit.
}
