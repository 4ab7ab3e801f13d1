package convert

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/halo-ha/halo/sdk/check"
	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
	"github.com/halo-ha/halo/sdk/internal/session"
	"github.com/halo-ha/halo/sdk/schema"
)

func fullProbe() session.Probe {
	return session.Probe{
		ID: math.MaxUint64, Type: "http_get", Settings: []byte(`{"path":"/healthz"}`), LastOutcome: check.Fail,
		Target: check.Target{
			Address: netip.MustParseAddr("192.0.2.30"), Port: 65535,
			RealServer:    netip.MustParseAddrPort("192.0.2.30:80"),
			VirtualServer: "web", VirtualAddress: netip.MustParseAddrPort("[2001:db8::1]:443"),
			Protocol: "tcp", Bind: netip.MustParseAddr("fe80::1%eth0"),
		},
		Schedule: session.Schedule{Interval: 5 * time.Second, RetryInterval: 100 * time.Millisecond, Timeout: 1500 * time.Millisecond, Rise: 2, Fall: 3},
	}
}

var addresses = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})

func TestProbesRoundTrip(t *testing.T) {
	least := session.Probe{Schedule: session.Schedule{Interval: 1, RetryInterval: 1, Timeout: 1, Rise: 1, Fall: 1}}
	observation := fullProbe()
	observation.Type, observation.Target, observation.Tracker = "script", check.Target{}, "nginx"
	for _, want := range []session.Probe{fullProbe(), least, observation} {
		message := overTheWire(t, &pb.Upsert{Probes: ToProbes([]session.Probe{want})}, &pb.Upsert{})
		got, err := FromProbe(message.GetProbes()[0])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, addresses, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("probe (-want +got):\n%s", diff)
		}
		if !Equal(&want, &got) {
			t.Error("the probe that came back is not equal")
		}
	}
}

// TestAnotherTrackerIsAnotherProbe: who is renamed is asked anew, under that name.
func TestAnotherTrackerIsAnotherProbe(t *testing.T) {
	a, b := fullProbe(), fullProbe()
	if !Equal(&a, &b) {
		t.Error("two equal probes are not")
	}
	if b.Tracker = "nginx"; Equal(&a, &b) {
		t.Error("a tracker's probe is that of a check")
	}
}

func TestProbesThatCannotRunAreRefused(t *testing.T) {
	for _, tc := range []struct {
		want  string
		spoil func(p *pb.Probe)
	}{
		{"interval: ", func(p *pb.Probe) { p.Schedule.Interval = nil }},
		{"interval 0s: not above zero", func(p *pb.Probe) { p.Schedule.Interval = durationpb.New(0) }},
		{"retry interval -1ns", func(p *pb.Probe) { p.Schedule.RetryInterval = durationpb.New(-1) }},
		{"timeout: ", func(p *pb.Probe) { p.Schedule.Timeout = &durationpb.Duration{Seconds: 1, Nanos: -1} }},
		{"interval: ", func(p *pb.Probe) { p.Schedule = nil }},
		{"rise 0", func(p *pb.Probe) { p.Schedule.Rise = 0 }},
		{"fall -1", func(p *pb.Probe) { p.Schedule.Fall = -1 }},
		{"port 65536: above", func(p *pb.Probe) { p.Target.Port = 65536 }},
		{"address: ", func(p *pb.Probe) { p.Target.Address = "www" }},
		{"bind: ", func(p *pb.Probe) { p.Target.Bind = "192.0.2.1:80" }},
		{"real server: ", func(p *pb.Probe) { p.Target.RealServer = "192.0.2.1" }},
		{"virtual address: ", func(p *pb.Probe) { p.Target.VirtualAddress = "x" }},
	} {
		t.Run(tc.want, func(t *testing.T) {
			message := ToProbes([]session.Probe{fullProbe()})[0]
			tc.spoil(message)
			_, err := FromProbe(message)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "probe 18446744073709551615") {
				t.Errorf("FromProbe = %v, want %q and the probe named", err, tc.want)
			}
		})
	}
	if _, err := FromProbe(nil); err == nil {
		t.Error("a nil probe was accepted")
	}
}

func TestDescribeRoundTrips(t *testing.T) {
	kinds := []schema.ValueKind{
		schema.Bool, schema.Int, schema.Float, schema.String, schema.Duration, schema.Strings, schema.Ints, schema.Map,
	}
	want := schema.Plugin{Name: "halo-check-x", Version: "1.0.0", SDK: "go/1", Protocols: []int{2, 1}}
	for _, kind := range []schema.Kind{schema.KindCheck, schema.KindTrack, schema.KindNotify} {
		typ := schema.Type{Name: string(kind), Kind: kind, Doc: "A type."}
		for _, k := range kinds {
			typ.Settings = append(typ.Settings, schema.Setting{
				Name: string(k), Kind: k, Doc: "A setting.", Required: true, Default: "1", Min: "0", Max: "9",
				Enum: []string{"a", "b"}, Sensitive: true, Capability: "net_raw",
			})
		}
		want.Types = append(want.Types, typ)
	}
	got := FromDescribe(overTheWire(t, ToDescribe(want), &pb.DescribeResponse{}))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plugin (-want +got):\n%s", diff)
	}
}

func TestKindsOfALaterVersionAreRefusedByName(t *testing.T) {
	p := FromDescribe(&pb.DescribeResponse{Name: "halo-x", Version: "1", Protocols: []int32{1}, Types: []*pb.Type{
		{Name: "a", Kind: 9, Settings: []*pb.Setting{{Name: "b", Kind: 99}}},
		{Name: "c"},
	}})
	var text strings.Builder
	for _, problem := range schema.CheckPlugin(p) {
		text.WriteString(problem.String() + "\n")
	}
	for _, want := range []string{"types.a.kind is number-9", "kind number-99", "types.c.kind is number-0"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("problems lack %q:\n%s", want, text.String())
		}
	}
	if to := ToDescribe(schema.Plugin{Types: []schema.Type{{Kind: "later", Settings: []schema.Setting{{Kind: "later"}}}}}); to.GetTypes()[0].GetKind() != 0 || to.GetTypes()[0].GetSettings()[0].GetKind() != 0 {
		t.Errorf("an unknown kind was sent as %v", to)
	}
}

func TestSmallMessagesRoundTrip(t *testing.T) {
	beat := &session.Heartbeat{LoopLag: 1500 * time.Microsecond, Probes: 10_000, InFlight: 3, Overdue: 1, Done: math.MaxUint64}
	committed := &session.Committed{Generation: math.MaxUint64}
	for _, tc := range []struct {
		message *pb.SessionResponse
		want    session.Message
	}{
		{ToHeartbeat(5, beat), beat},
		{ToCommitted(5, committed), committed},
	} {
		got := overTheWire(t, tc.message, &pb.SessionResponse{})
		if got.GetIncarnation() != 5 {
			t.Errorf("incarnation %d", got.GetIncarnation())
		}
		if diff := cmp.Diff(tc.want, FromResponse(got)); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	}
	if got := FromResponse(&pb.SessionResponse{}); got != nil {
		t.Errorf("a message of a later version is %v, want nil", got)
	}
	if got := FromResponse(&pb.SessionResponse{Message: &pb.SessionResponse_Results{}}); got == nil {
		t.Error("empty results are no message")
	}
}

func TestHostileHeartbeat(t *testing.T) {
	got := FromResponse(&pb.SessionResponse{Message: &pb.SessionResponse_Heartbeat{Heartbeat: &pb.Heartbeat{
		LoopLag: durationpb.New(-time.Hour), Probes: math.MaxUint32, InFlight: math.MaxUint32, Overdue: math.MaxUint32,
	}}})
	want := &session.Heartbeat{Probes: math.MaxInt32, InFlight: math.MaxInt32, Overdue: math.MaxInt32}
	if diff := cmp.Diff(session.Message(want), got); diff != "" {
		t.Errorf("heartbeat (-want +got):\n%s", diff)
	}
}

func TestDiagnostics(t *testing.T) {
	want := []session.Diagnostic{
		{ProbeID: 1, Attribute: "path", Message: "is missing"},
		{ProbeID: 2, Warning: true, Message: "is loud"},
	}
	message := overTheWire(t, &pb.ValidateResponse{Diagnostics: ToDiagnostics(want)}, &pb.ValidateResponse{})
	if diff := cmp.Diff(want, FromDiagnostics(message.GetDiagnostics())); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	hostile := make([]*pb.Diagnostic, 5000)
	hostile[0] = &pb.Diagnostic{Attribute: strings.Repeat("a", 5000), Message: strings.Repeat("\x1b", 5000)}
	got := FromDiagnostics(hostile)
	if len(got) != maxDiagnostics || len(got[0].Attribute) != maxAttribute || got[0].Message != strings.Repeat(" ", maxDiagnosticMessage) {
		t.Errorf("%d diagnostics, first %.40q %.40q", len(got), got[0].Attribute, got[0].Message)
	}
}

// FuzzDescribe feeds descriptions of hostile plugins as bytes of the wire.
func FuzzDescribe(f *testing.F) {
	data, err := proto.Marshal(ToDescribe(schema.Plugin{Name: "halo-x", Version: "1", Protocols: []int{1}, Types: []schema.Type{{Name: "a", Kind: schema.KindCheck}}}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(_ *testing.T, data []byte) {
		var message pb.DescribeResponse
		if proto.Unmarshal(data, &message) == nil {
			schema.CheckPlugin(FromDescribe(&message))
		}
	})
}

// FuzzProbe feeds what a confused host might send.
func FuzzProbe(f *testing.F) {
	data, err := proto.Marshal(ToProbes([]session.Probe{fullProbe()})[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	observation := ToProbes([]session.Probe{fullProbe()})[0]
	observation.Target, observation.Tracker = nil, "nginx"
	if data, err = proto.Marshal(observation); err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var message pb.Probe
		if proto.Unmarshal(data, &message) != nil {
			return
		}
		p, err := FromProbe(&message)
		if err != nil {
			return
		}
		if s := p.Schedule; s.Interval <= 0 || s.RetryInterval <= 0 || s.Timeout <= 0 || s.Rise < 1 || s.Fall < 1 {
			t.Fatalf("a scheduler cannot run %+v", p)
		}
		again, err := FromProbe(ToProbes([]session.Probe{p})[0])
		if err != nil || !Equal(&p, &again) {
			t.Fatalf("%+v came back as %+v, %v", p, again, err)
		}
	})
}
