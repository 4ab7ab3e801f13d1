package pluginhost

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

// TestMain makes the test binary a multi-call file like halo-plugins: under
// the name of a plugin it is that plugin.
func TestMain(m *testing.M) {
	name := filepath.Base(os.Args[0])
	if strings.HasPrefix(name, "halo-check-") {
		stub(name, len(os.Args) > 1)
		return
	}
	if dir := os.Getenv("HALO_TEST_DOOMED_HOST"); dir != "" {
		doomedHost(dir)
		return
	}
	if dir := os.Getenv("HALO_TEST_ROUND_HOST"); dir != "" {
		roundHost(dir)
		return
	}
	os.Exit(m.Run())
}

// The stubs. Each behaves until it is asked to serve, unless it says otherwise.
const (
	stubGood      = "halo-check-good"          // nothing wrong with it
	stubDies      = "halo-check-dies"          // panics at once
	stubGarbage   = "halo-check-garbage"       // prints before it serves
	stubMute      = "halo-check-mute"          // never shakes hands
	stubNewer     = "halo-check-newer"         // speaks protocols 3 and 4
	stubLiar      = "halo-check-liar"          // describes protocol 1, and speaks 3
	stubSilent    = "halo-check-silent"        // shakes hands, accepts, and says nothing
	stubElsewhere = "halo-check-elsewhere"     // has its socket somewhere else
	stubNoisy     = "halo-check-noisy"         // floods its stderr and its stdout
	stubParent    = "halo-check-parent"        // has children in process groups of their own
	stubSlow      = "halo-check-describeslow"  // never ends to describe itself
	stubBig       = "halo-check-describebig"   // never stops describing itself
	stubFails     = "halo-check-describefails" // cannot describe itself
	stubEnv       = "halo-check-env"           // refuses to describe itself with an environment
)

func stub(name string, asked bool) {
	p := sdk.Plugin{Name: name, Version: "1.0", Types: []check.Type{
		check.New("stub", "A stub.", func(s stubSettings) (check.Checker, error) { return stubChecker(s), nil }),
	}}
	if asked {
		switch name {
		case stubSlow:
			time.Sleep(time.Hour)
		case stubBig:
			for {
				if _, err := os.Stdout.WriteString(strings.Repeat(" ", 1<<16)); err != nil {
					os.Exit(1)
				}
			}
		case stubFails:
			fmt.Fprintln(os.Stderr, "no idea who I am")
			os.Exit(3)
		case stubNewer:
			fmt.Printf(`{"name":%q,"version":"9","sdk":"go/9","protocols":[4,3],"types":{"are":"different now"}}`, name)
			os.Exit(0)
		case stubEnv:
			if env := os.Environ(); len(env) != 0 {
				fmt.Fprintf(os.Stderr, "environment %q\n", env)
				os.Exit(4)
			}
		}
		sdk.Serve(p)
	}
	switch name {
	case stubDies:
		panic("the settings are nil")
	case stubGarbage:
		fmt.Println("Hello from init!")
	case stubMute:
		time.Sleep(time.Hour)
	case stubNewer, stubLiar:
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig: host.Handshake(), GRPCServer: plugin.DefaultGRPCServer,
			VersionedPlugins: map[int]plugin.PluginSet{3: {"halo": noPlugin{}}, 4: {"halo": noPlugin{}}},
		})
	case stubSilent:
		silent(filepath.Join(os.Getenv(plugin.EnvUnixSocketDir), "plugin1"))
	case stubElsewhere:
		silent(filepath.Join(os.TempDir(), fmt.Sprintf("halo-elsewhere-%d", os.Getpid())))
	case stubNoisy:
		fmt.Fprintln(os.Stderr, strings.Repeat("e", 1<<20))
		go babble(os.Stderr)
	case stubParent:
		child := exec.CommandContext(context.Background(), "/bin/sleep", "3600")
		child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Fprintf(os.Stderr, "child %d\n", child.Process.Pid)
	}
	sdk.Serve(p)
}

// silent shakes hands in the name of a server that does not answer.
func silent(path string) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "unix", path)
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(path)
	fmt.Printf("1|1|unix|%s|grpc\n", path)
	for {
		if _, err := listener.Accept(); err != nil {
			return
		}
	}
}

func babble(f *os.File) {
	line := []byte(strings.Repeat("f", 200) + "\n")
	for {
		if _, err := f.Write(line); err != nil {
			return
		}
	}
}

type noPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (noPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }

func (noPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return struct{}{}, nil
}

type stubSettings struct {
	// Do is what the probe does: it passes, panics, exits or stops the process.
	Do string `halo:"do" doc:"What to do." default:"pass" enum:"pass,panic,exit,stop,invalid"`
}

type stubChecker stubSettings

func (s stubChecker) Check(context.Context, check.Target) check.Result {
	switch s.Do {
	case "exit":
		os.Exit(7)
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	return check.Passed("")
}

// roundHost takes a plugin through its life, in a process with other rights
// than the test's, and prints what there is to know.
func roundHost(dir string) {
	log := &safeBuffer{}
	heard := newListener()
	runtimeDir := os.Getenv("HALO_TEST_RUNTIME_DIR")
	must := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
			fmt.Println(log)
			os.Exit(1)
		}
	}
	h, err := Open(Config{Dirs: []string{dir}, RuntimeDir: runtimeDir, User: "nobody", Listener: heard, Logger: slog.New(slog.NewTextHandler(log, nil))})
	must(err)
	must(h.Sweep())
	installed, err := h.Discover(context.Background(), nil)
	must(err)
	must(installed[0].Problem)
	id := Identity{stubGood, "nobody"}
	_, err = h.Validate(context.Background(), Spec{Identity: id}, []host.Probe{{ID: 1, Type: "stub"}})
	must(err)
	h.Apply([]Spec{{Identity: id}})
	for life := range 2 {
		select {
		case <-heard.opened:
		case <-time.After(patience):
			must(fmt.Errorf("life %d: no session: %+v", life, h.Snapshots()))
		}
		if life == 0 {
			s := h.Snapshots()[0]
			fmt.Printf("runs as %s, warnings %q\n", s.RunsAs, s.Warnings)
			if os.Getenv("HALO_TEST_SHOW_CAPABILITIES") != "" {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID))
				must(err)
				var effective, ambient string
				for line := range strings.Lines(string(text)) {
					_, _ = fmt.Sscanf(line, "CapEff: %s", &effective)
					_, _ = fmt.Sscanf(line, "CapAmb: %s", &ambient)
				}
				fmt.Printf("CapEff %s CapAmb %s\n", effective, ambient)
			}
			must(unix.Kill(s.PID, unix.SIGKILL))
			<-heard.lost
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(h.Close(ctx))
	left, err := os.ReadDir(filepath.Join(runtimeDir, "plugins"))
	must(err)
	fmt.Printf("left %d, warned %d times\n", len(left), strings.Count(log.String(), "plugins run as the daemon's own user"))
}

// doomedHost runs plugins until somebody kills it.
func doomedHost(dir string) {
	heard := &listener{opened: make(chan *Session, 10)}
	h, err := Open(Config{Dirs: []string{dir}, RuntimeDir: os.Getenv("HALO_TEST_RUNTIME_DIR"), User: testUser(), Listener: heard, Logger: quiet()})
	if err != nil {
		panic(err)
	}
	// The last one has not got as far as its lifeline, as a plugin that was not
	// made with the SDK may never do.
	h.Apply([]Spec{{Identity: Identity{stubGood, testUser()}}, {Identity: Identity{stubMute, testUser()}}})
	<-heard.opened
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}
