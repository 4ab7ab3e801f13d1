package sdk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/schema"
)

// actEnv makes the test binary act as a plugin.
const actEnv = "SDK_TEST_ACT_AS_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(actEnv) != "" {
		sdk.Serve(testPlugin())
	}
	os.Exit(m.Run())
}

type talkSettings struct {
	Word string `halo:"word" doc:"What to answer." default:"hello"`
	Do   string `halo:"do" doc:"How to behave." enum:"answer,print,child,privs,hang" default:"answer"`
}

type talker struct{ talkSettings }

func testPlugin() sdk.Plugin {
	return sdk.Plugin{
		Name: "halo-check-talk", Version: "1.2.3",
		Types: []check.Type{check.New("talk", "Answers with a word.", func(s talkSettings) (check.Checker, error) {
			if s.Word == "" {
				return nil, schema.Invalid("word", "a word", "is empty")
			}
			return talker{s}, nil
		}), check.New("instant", "Passes at once.", func(struct{}) (check.Checker, error) {
			return instant{}, nil
		})},
	}
}

// instant is what is left of a probe when the probe itself costs nothing.
type instant struct{}

func (instant) Check(context.Context, check.Target) check.Result { return check.Passed("") }

func (instant) Start(_ time.Time, _ check.Target, done func(check.Result)) { done(check.Passed("")) }

func (c talker) Warnings() []schema.Problem {
	if c.Word != "loud" {
		return nil
	}
	return []schema.Problem{{Attribute: "word", Message: "is loud"}}
}

func (c talker) Check(ctx context.Context, _ check.Target) check.Result {
	switch c.Do {
	case "print":
		fmt.Println("stray on stdout")
		_, _ = syscall.Write(1, []byte("stray on descriptor 1\n")) // As C code would.
		fmt.Fprintln(os.Stderr, "stray on stderr")
		check.Logger(ctx).Info("said on purpose", "word", c.Word)
	case "privs":
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return check.FromError(err)
		}
		var detail strings.Builder
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "NoNewPrivs:") || strings.HasPrefix(line, "Name:") {
				detail.WriteString(strings.Join(strings.Fields(line), "") + " ")
			}
		}
		tasks, err := filepath.Glob("/proc/self/task/*/status")
		if err != nil {
			return check.FromError(err)
		}
		without := 0
		for _, task := range tasks {
			// A thread may end between the two calls.
			if text, err := os.ReadFile(task); err == nil && !bytes.Contains(text, []byte("NoNewPrivs:\t1")) {
				without++
			}
		}
		return check.Passed(fmt.Sprintf("%sthreads without: %d", detail.String(), without))
	case "child":
		// A child that holds descriptors 1 and 2 for as long as it can.
		child := exec.CommandContext(ctx, "sleep", "1000")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		err := child.Run()
		return check.NotKnown(check.ReasonLocalError, fmt.Sprint(err))
	case "hang":
		<-ctx.Done()
		return check.FromError(ctx.Err())
	}
	return check.Passed(c.Word)
}

// logged collects what a host logs of a plugin.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// started is a plugin process with the host's view of it.
type started struct {
	*host.Client

	rpc      *plugin.Client
	cmd      *exec.Cmd
	lifeline *os.File // the host's end
	sockets  string
	log      *logged
}

func startPlugin(t testing.TB, lifeline bool, env ...string) *started {
	t.Helper()
	s := &started{log: &logged{}, sockets: t.TempDir()}
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	s.cmd.Env = append([]string{actEnv + "=1", "PATH=" + os.Getenv("PATH"), "PLUGIN_UNIX_SOCKET_DIR=" + s.sockets}, env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if lifeline {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		s.cmd.ExtraFiles = []*os.File{read}
		s.cmd.Env = append(s.cmd.Env, "HALO_PLUGIN_LIFELINE_FD=3")
		s.lifeline = write
		defer read.Close()
	}
	s.rpc = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: host.Handshake(), VersionedPlugins: host.PluginSet(), Cmd: s.cmd, SkipHostEnv: true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, AutoMTLS: true, StartTimeout: time.Minute,
		Logger: hclog.New(&hclog.LoggerOptions{Output: s.log, JSONFormat: true, Level: hclog.Trace}),
	})
	t.Cleanup(func() {
		s.rpc.Kill()
		if s.lifeline != nil {
			_ = s.lifeline.Close()
		}
		if t.Failed() {
			t.Logf("log of the host:\n%s", s.log)
		}
	})
	protocol, err := s.rpc.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := protocol.Dispense(host.Name)
	if err != nil {
		t.Fatal(err)
	}
	if s.Client, err = host.NewClient(raw); err != nil {
		t.Fatal(err)
	}
	return s
}

// run opens a session with one probe of type talk and returns its first result.
func (s *started) run(t *testing.T, settings string) (*host.Session, host.ProbeResult) {
	t.Helper()
	session, err := s.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	if err := errors.Join(session.Begin(7), session.Upsert([]host.Probe{talkProbe(settings)}), session.Commit(1)); err != nil {
		t.Fatal(err)
	}
	for {
		message, err := session.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if results, ok := message.(*host.Results); ok {
			return session, results.Results[0]
		}
	}
}

func talkProbe(settings string) host.Probe {
	return host.Probe{
		ID: 1, Type: "talk", Settings: json.RawMessage(settings),
		Schedule: host.Schedule{Interval: time.Second, RetryInterval: time.Second, Timeout: time.Minute, Rise: 1, Fall: 1},
	}
}

// eventually waits for something that comes when it comes; a minute is for a
// machine that is very busy, not a measurement.
func eventually(t testing.TB, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestServeOverTheRealHandshake(t *testing.T) {
	s := startPlugin(t, true)
	described, err := s.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want, err := testPlugin().Describe()
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(described) != fmt.Sprint(want) {
		t.Errorf("described\n %+v, want\n %+v", described, want)
	}
	if s.rpc.NegotiatedVersion() != 1 {
		t.Errorf("negotiated version %d", s.rpc.NegotiatedVersion())
	}
	if _, result := s.run(t, `{"word": "good"}`); result.Outcome != check.Pass || result.Detail != "good" || result.ID != 1 {
		t.Errorf("result = %+v", result)
	}
}

func TestValidateTellsErrorsAndWarnings(t *testing.T) {
	s := startPlugin(t, true)
	var probes []host.Probe
	for i, settings := range []string{`{}`, `{"word": ""}`, `{"word": "loud"}`, `{"do": "fly"}`} {
		p := talkProbe(settings)
		p.ID = uint64(i) //nolint:gosec // Small.
		probes = append(probes, p)
	}
	foreign := talkProbe(`{}`)
	foreign.ID, foreign.Type = 9, "sing"
	got, err := s.Validate(t.Context(), append(probes, foreign))
	if err != nil {
		t.Fatal(err)
	}
	want := []host.Diagnostic{
		{ProbeID: 1, Attribute: "word", Message: "is empty (expected a word)"},
		{ProbeID: 2, Attribute: "word", Warning: true, Message: "is loud"},
		{ProbeID: 3, Attribute: "do", Message: `is not one of the allowed words: "fly" (expected one of "answer", "print", "child", "privs", "hang")`},
		{ProbeID: 9, Message: `type "sing": not provided by halo-check-talk`},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("diagnostics\n got %+v\nwant %+v", got, want)
	}
}

func TestPrivilegesAreGivenUpOnEveryThread(t *testing.T) {
	s := startPlugin(t, true)
	if _, result := s.run(t, `{"do": "privs"}`); result.Detail != "Name:halo-check-talk NoNewPrivs:1 threads without: 0" {
		t.Errorf("status = %q", result.Detail)
	}
}

func TestPrintsBecomeLogLines(t *testing.T) {
	s := startPlugin(t, true)
	s.run(t, `{"do": "print", "word": "heard"}`)
	for _, want := range []string{"stray on stdout", "stray on descriptor 1", "stray on stderr", `"word":"heard"`, `"check":"talk"`} {
		eventually(t, want+" in the log", func() bool { return strings.Contains(s.log.String(), want) })
	}
}

func TestLifelineEndsThePluginAndItsChildren(t *testing.T) {
	s := startPlugin(t, true)
	session, err := s.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := errors.Join(session.Begin(1), session.Upsert([]host.Probe{talkProbe(`{"do": "child"}`)}), session.Commit(1)); err != nil {
		t.Fatal(err)
	}
	var child string
	eventually(t, "a child", func() bool {
		// Any thread may have forked it.
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.cmd.Process.Pid))
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && len(text) > 0 {
				child = strings.Fields(string(text))[0]
			}
		}
		return child != ""
	})
	if err := s.lifeline.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the plugin's end", s.rpc.Exited)
	eventually(t, "the child's end", func() bool {
		_, err := os.Stat("/proc/" + child)
		return errors.Is(err, os.ErrNotExist)
	})
	left, err := os.ReadDir(s.sockets)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTermIsObeyedOnlyAfterDrain(t *testing.T) {
	s := startPlugin(t, true)
	session, _ := s.run(t, `{}`)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refusal in the log", func() bool { return strings.Contains(s.log.String(), "SIGTERM ignored") })
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatalf("the plugin no longer answers: %v", err)
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	session.Close()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the plugin's end", s.rpc.Exited)
}

func TestTermEndsAPluginWithoutALifeline(t *testing.T) {
	s := startPlugin(t, false)
	s.run(t, `{}`)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the plugin's end", s.rpc.Exited)
}

func TestShutdownCallEndsThePlugin(t *testing.T) {
	s := startPlugin(t, true)
	s.run(t, `{"do": "answer"}`)
	s.rpc.Kill()
	left, err := os.ReadDir(s.sockets)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLogLevelOfTheHost(t *testing.T) {
	s := startPlugin(t, true, "HALO_PLUGIN_LOG_LEVEL=error")
	s.run(t, `{"do": "print"}`)
	slog.New(slog.DiscardHandler).Info("nothing to wait for") // The absence is looked at after the whole life.
	s.rpc.Kill()
	if strings.Contains(s.log.String(), "said on purpose") {
		t.Error("a line below the level was written")
	}
}

var _ io.Writer = (*logged)(nil)
