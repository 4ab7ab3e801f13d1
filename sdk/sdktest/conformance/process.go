package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/internal/handshake"
	"github.com/halo-ha/halo/sdk/schema"
)

// mostOutput is how much a plugin may print when it describes itself.
const mostOutput = 1 << 20

// command is the program as the core would start it: hardly any environment, a
// process group of its own.
func (k *kit) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.Path, args...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}, k.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// call runs the program to its end.
func (k *kit) call(ctx context.Context, env []string, args ...string) (stdout, stderr []byte, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.Patience)
	defer cancel()
	cmd := k.command(ctx, args...)
	cmd.Env = append(cmd.Env, env...)
	out, errOut := &limited{}, &limited{}
	cmd.Stdout, cmd.Stderr = out, errOut
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, nil, 0, fmt.Errorf("it did not end within %v", k.Patience)
	case err != nil && !errors.As(err, &exit):
		return nil, nil, 0, err
	}
	return out.Bytes(), errOut.Bytes(), cmd.ProcessState.ExitCode(), nil
}

// limited keeps the first mostOutput bytes.
type limited struct {
	bytes.Buffer
}

func (l *limited) Write(p []byte) (int, error) {
	if room := mostOutput - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

// describe asks the program what it is, without a handshake.
func (k *kit) describe(ctx context.Context) (schema.Plugin, error) {
	out, errOut, code, err := k.call(ctx, nil, "describe")
	if err != nil {
		return schema.Plugin{}, fmt.Errorf("describe: %w", err)
	}
	if code != 0 {
		return schema.Plugin{}, fmt.Errorf("describe: exit code %d: %s", code, bytes.TrimSpace(errOut))
	}
	// What stands around the JSON is for a case to complain of.
	var p schema.Plugin
	if err := json.NewDecoder(bytes.NewReader(out[max(bytes.IndexByte(out, '{'), 0):])).Decode(&p); err != nil {
		return schema.Plugin{}, fmt.Errorf("describe: not the expected JSON: %w", err)
	}
	return p, nil
}

// process is the program behind its handshake.
type process struct {
	*host.Client

	rpc      *plugin.Client
	cmd      *exec.Cmd
	lifeline *os.File
	sockets  string
	patience time.Duration
	closing  sync.Once
}

// start starts the program and shakes hands.
func (k *kit) start(ctx context.Context) (*process, error) {
	sockets, err := os.MkdirTemp("", "halo-plugin-")
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		_ = os.RemoveAll(sockets)
		return nil, err
	}
	defer read.Close()
	p := &process{cmd: k.command(context.WithoutCancel(ctx)), lifeline: write, sockets: sockets, patience: k.Patience}
	p.cmd.ExtraFiles = []*os.File{read}
	p.cmd.Env = append(p.cmd.Env, handshake.LifelineEnv+"=3", plugin.EnvUnixSocketDir+"="+sockets)
	p.rpc = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: host.Handshake(), VersionedPlugins: host.PluginSet(), Cmd: p.cmd, SkipHostEnv: true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, AutoMTLS: true, StartTimeout: k.Patience,
		Logger: hclog.NewNullLogger(), Stderr: io.Discard,
	})
	if err := p.connect(); err != nil {
		p.close()
		return nil, fmt.Errorf("start: %w", err)
	}
	return p, nil
}

func (p *process) connect() error {
	protocol, err := p.rpc.Client()
	if err != nil {
		return err
	}
	raw, err := protocol.Dispense(host.Name)
	if err != nil {
		return err
	}
	p.Client, err = host.NewClient(raw)
	return err
}

// close takes the program down whatever state it is in: go-plugin's own Kill
// waits for ever for a program that is stopped.
func (p *process) close() {
	p.closing.Do(func() {
		if p.cmd.Process != nil && !p.rpc.Exited() {
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		}
		p.rpc.Kill()
		_ = p.lifeline.Close()
		_ = os.RemoveAll(p.sockets)
	})
}

// exits waits for the program's end.
func (p *process) exits(ctx context.Context, why string) error {
	if !p.wait(ctx, p.rpc.Exited) {
		return fmt.Errorf("it did not end within %v after %s", p.patience, why)
	}
	return nil
}

func (p *process) wait(ctx context.Context, reached func() bool) bool {
	end := time.Now().Add(p.patience)
	for !reached() {
		if ctx.Err() != nil || time.Now().After(end) {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

// with runs a case against a fresh process.
func with(run func(ctx context.Context, k *kit, p *process) error) func(context.Context, *kit) error {
	return func(ctx context.Context, k *kit) error {
		p, err := k.start(ctx)
		if err != nil {
			return err
		}
		defer p.close()
		return run(ctx, k, p)
	}
}

// probe is a probe of the type under test, twice a second.
func (k *kit) probe(id uint64) host.Probe { return k.probeOf(k.kind, id) }

// probeOf is probe for a type of another kind, which the caller puts in. A
// tracker has a name and no target.
func (k *kit) probeOf(kind schema.Kind, id uint64) host.Probe {
	target := k.Target
	if !target.Address.IsValid() {
		target = closedPort()
	}
	tracker := ""
	if kind == schema.KindTrack {
		target, tracker = check.Target{}, "conformance"
	}
	return host.Probe{
		ID: id, Type: k.Type, Target: target, Tracker: tracker, Settings: k.Settings,
		Schedule: host.Schedule{
			Interval: 500 * time.Millisecond, RetryInterval: 500 * time.Millisecond, Timeout: time.Second,
			Rise: 1, Fall: 1,
		},
	}
}

// closedPort is a target that refuses: the discard port, which hardly anybody
// serves.
func closedPort() check.Target {
	return check.Target{
		Address: loopback, Port: 9, RealServer: loopbackDiscard,
		VirtualServer: "conformance", VirtualAddress: loopbackDiscard, Protocol: "tcp",
	}
}

// session is a session that gives up when nothing comes.
type session struct {
	*host.Session

	patience time.Duration
}

// open opens a session with the given probes and waits until they are
// committed as generation 1.
func (k *kit) open(ctx context.Context, p *process, incarnation uint64, probes ...host.Probe) (*session, error) {
	raw, err := p.Session(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{Session: raw, patience: k.Patience}
	if err := raw.Begin(incarnation); err != nil {
		raw.Close()
		return nil, err
	}
	if err := s.commit(1, probes, nil, nil); err != nil {
		raw.Close()
		return nil, err
	}
	return s, nil
}

// next waits for the next message.
func (s *session) next() (host.Message, error) {
	var late atomic.Bool
	timer := time.AfterFunc(s.patience, func() { late.Store(true); s.Close() })
	defer timer.Stop()
	m, err := s.Recv()
	if err != nil && late.Load() {
		return nil, fmt.Errorf("nothing came for %v", s.patience)
	}
	return m, err
}

// commit sends a difference and waits for the answer. What comes before it
// goes to seen.
func (s *session) commit(generation uint64, upsert []host.Probe, remove []uint64, seen func(host.Message)) error {
	if err := errors.Join(s.Upsert(upsert), s.Remove(remove), s.Session.Commit(generation)); err != nil {
		return err
	}
	for {
		m, err := s.next()
		if err != nil {
			return fmt.Errorf("commit %d is not answered: %w", generation, err)
		}
		if c, ok := m.(*host.Committed); ok {
			if c.Generation != generation {
				return fmt.Errorf("commit %d is answered by %d", generation, c.Generation)
			}
			return nil
		}
		if seen != nil {
			seen(m)
		}
	}
}

// collect reads messages for a time.
func (s *session) collect(d time.Duration, seen func(host.Message) error) error {
	// A heartbeat each second keeps the loop going.
	for end := time.Now().Add(d); time.Now().Before(end); {
		m, err := s.next()
		if err != nil {
			return err
		}
		if err := seen(m); err != nil {
			return err
		}
	}
	return nil
}
