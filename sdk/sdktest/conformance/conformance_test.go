package conformance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
	"github.com/halo-ha/halo/sdk/sdktest"
	"github.com/halo-ha/halo/sdk/sdktest/conformance"
)

// actEnv makes the test binary a plugin of the kind it names.
const actEnv = "CONFORMANCE_TEST_ACT_AS"

func TestMain(m *testing.M) {
	switch os.Getenv(actEnv) {
	case "":
		os.Exit(m.Run())
	case "good":
		sdk.Serve(goodPlugin())
	case "chatty":
		fmt.Println("starting up...")
		sdk.Serve(goodPlugin())
	case "deaf":
		_ = os.Unsetenv("HALO_PLUGIN_LIFELINE_FD")
		sdk.Serve(goodPlugin())
	case "liar":
		serveLiar()
	}
}

type wordSettings struct {
	Word  string        `halo:"word" enum:"yes,no" default:"yes"`
	Port  uint16        `halo:"port" min:"1" default:"80"`
	Pause time.Duration `halo:"pause"`
	Must  []string      `halo:"must" required:"true"`
}

type yes struct{}

func (yes) Check(context.Context, check.Target) check.Result { return check.Passed("") }

func goodPlugin() sdk.Plugin {
	return sdk.Plugin{Name: "halo-check-yes", Version: "1", Types: []check.Type{
		check.New("word", "Needs a setting.", func(wordSettings) (check.Checker, error) { return yes{}, nil }),
		check.New("yes", "Needs none.", func(struct{}) (check.Checker, error) { return yes{}, nil }),
	}}
}

func TestAGoodPluginConforms(t *testing.T) {
	t.Parallel()
	sdktest.Conformance(t, conformance.Options{Path: os.Args[0], Env: []string{actEnv + "=good"}})
}

// verdicts runs the kit and returns what failed.
func verdicts(t *testing.T, kind string, patience time.Duration) map[string]error {
	t.Helper()
	failed := map[string]error{}
	var told []string
	err := conformance.Run(t.Context(), conformance.Options{
		Path: os.Args[0], Env: []string{actEnv + "=" + kind}, Type: "yes", Patience: patience,
	}, func(v conformance.Verdict) {
		name := v.Group + "/" + v.Name
		told = append(told, name)
		if v.Err != nil {
			failed[name] = v.Err
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(told, conformance.Cases()) {
		t.Errorf("cases %v, reported %v", conformance.Cases(), told)
	}
	return failed
}

func TestTheKitFindsMistakes(t *testing.T) {
	for _, tc := range []struct {
		kind string
		want map[string]string // what must fail, and a word of the reason
	}{
		{"chatty", map[string]string{
			"handshake/first_line":     `the first line on standard output is "starting up...`,
			"handshake/without_cookie": "on standard output",
			"handshake/connects":       "Unrecognized remote plugin message",
		}},
		{"deaf", map[string]string{
			"lifeline/end_of_file_ends_it": "did not end within",
			"lifeline/term_needs_a_drain":  "after SIGTERM, with its lifeline open",
		}},
		{"liar", map[string]string{
			"handshake/without_cookie":      "it exits with 0",
			"describe/well_formed":          "version is",
			"describe/alone_on_stdout":      "something follows",
			"describe/same_over_rpc":        "describe",
			"describe/version_and_help":     "0 bytes on standard output",
			"describe/unknown_argument":     "exit code 0",
			"validate/bad_settings":         "gives no error about no_such_setting",
			"validate/unknown_type":         "a type it does not provide",
			"session/first_results":         "of probe 4711",
			"session/heartbeats":            "heartbeats in",
			"session/one_at_a_time":         "side by side",
			"reload/unchanged_keeps_timers": "results in",
			"reload/generations":            "of generation",
			"remove/silent_after_commit":    "a probe that has been removed",
			"garbage/settings":              "are accepted",
			"garbage/unknown_type":          "said to pass",
			"lifeline/end_of_file_ends_it":  "did not end",
		}},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			t.Parallel()
			failed := verdicts(t, tc.kind, 4*time.Second)
			for name, want := range tc.want {
				if err := failed[name]; err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", name, err, want)
				}
			}
			if tc.kind == "deaf" && len(failed) != len(tc.want) {
				t.Errorf("failed: %v", failed)
			}
		})
	}
}

func TestOptionsThatCannotBeTested(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    conformance.Options
		want string
	}{
		{"no such file", conformance.Options{Path: "/nonexistent/halo-check-x"}, "no such file"},
		{"no such type", conformance.Options{Path: os.Args[0], Env: []string{actEnv + "=good"}, Type: "fly"}, `type "fly": not provided`},
		{"not a plugin", conformance.Options{Path: "/bin/false"}, "describe: exit code 1"},
	} {
		err := conformance.Run(t.Context(), tc.o, func(conformance.Verdict) { t.Errorf("%s: a case was run", tc.name) })
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// liar is a plugin that shakes hands well and does the rest wrong.
type liar struct {
	plugin.NetRPCUnsupportedPlugin
	pb.UnimplementedPluginServiceServer
	pb.UnimplementedCheckServiceServer
}

func serveLiar() {
	if len(os.Args) > 1 {
		if os.Args[1] == "describe" {
			text, _ := json.Marshal(map[string]any{
				"name": "halo-check-liar", "protocols": []int{1}, "types": []map[string]any{{"name": "yes", "kind": "check"}},
			})
			fmt.Printf("%s\n{}\n", text)
		}
		os.Exit(0)
	}
	if os.Getenv("HALO_PLUGIN_MAGIC_COOKIE") == "" || os.Getenv("HALO_PLUGIN_MAGIC_COOKIE") == "wrong" {
		os.Exit(0)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: host.Handshake(), GRPCServer: plugin.DefaultGRPCServer,
		VersionedPlugins: map[int]plugin.PluginSet{1: {host.Name: &liar{}}},
	})
	os.Exit(0)
}

func (l *liar) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pb.RegisterPluginServiceServer(s, l)
	pb.RegisterCheckServiceServer(s, l)
	return nil
}

func (*liar) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil //nolint:nilnil // Never called.
}

func (*liar) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	return &pb.DescribeResponse{Name: "another"}, nil
}

func (*liar) Validate(context.Context, *pb.ValidateRequest) (*pb.ValidateResponse, error) {
	return &pb.ValidateResponse{}, nil
}

// Session reports a pass of every probe it ever heard of, and of one it did
// not, every 20 ms and under generation 1 for ever.
func (*liar) Session(s pb.CheckService_SessionServer) error {
	var mu sync.Mutex
	incarnation := uint64(0)
	ids := []uint64{4711}
	send := func(r *pb.SessionResponse) error {
		mu.Lock()
		defer mu.Unlock()
		r.Incarnation = incarnation
		return s.Send(r)
	}
	go func() {
		for s.Context().Err() == nil {
			time.Sleep(20 * time.Millisecond)
			results := &pb.Results{Generation: 1}
			mu.Lock()
			for _, id := range ids {
				results.Id = append(results.Id, id)
				results.Outcome = append(results.Outcome, pb.Outcome_OUTCOME_PASS)
			}
			mu.Unlock()
			if send(&pb.SessionResponse{Message: &pb.SessionResponse_Results{Results: results}}) != nil {
				return
			}
		}
	}()
	for {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		switch m := r.GetMessage().(type) {
		case *pb.SessionRequest_Begin:
			mu.Lock()
			incarnation = m.Begin.GetIncarnation()
			mu.Unlock()
		case *pb.SessionRequest_Upsert:
			mu.Lock()
			for _, p := range m.Upsert.GetProbes() {
				ids = append(ids, p.GetId())
			}
			mu.Unlock()
		case *pb.SessionRequest_Commit:
			if err := send(&pb.SessionResponse{Message: &pb.SessionResponse_Committed{Committed: &pb.Committed{Generation: m.Commit.GetGeneration()}}}); err != nil {
				return err
			}
		}
	}
}
