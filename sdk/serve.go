package sdk

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/halo-ha/halo/sdk/internal/handshake"
	"github.com/halo-ha/halo/sdk/internal/logline"
	"github.com/halo-ha/halo/sdk/internal/server"
	"github.com/halo-ha/halo/sdk/schema"
)

// How long the process takes its leave: runs that are out are cancelled and
// may put away their children, then the log is written. A host that was killed
// must not leave anything behind for long.
const (
	stopTime  = 500 * time.Millisecond
	flushTime = 200 * time.Millisecond
	exitTime  = time.Second
)

// process is a plugin that serves a host.
//
//	host ── gRPC ──► server.Server
//	     ── lifeline: end of file ──┐
//	     ── SIGTERM, once drained ──┼──► leave ──► gRPC stops ──► serve returns
//	     ── go-plugin's Shutdown ───────────────────┘
type process struct {
	server *server.Server
	output *output
	log    *slog.Logger
	lines  *logline.Writer

	grpc    atomic.Pointer[grpc.Server]
	leaving sync.Once
}

// serve runs until the host is gone and returns the exit code.
func serve(p Plugin, described schema.Plugin) int {
	// First of all, since it may start the program over.
	privilegeErr := forbidNewPrivileges()
	nameProcess(p.Name)
	volunteer()

	if os.Getenv("GOGC") == "" {
		// What a plugin holds is its probes, which stay, and what it throws away
		// is little: collecting twice as often costs next to nothing and keeps
		// the memory near what is in use.
		debug.SetGCPercent(50)
	}

	lines := logline.NewWriter()
	go lines.Run(context.Background(), os.Stderr) // To the very end: what is logged last matters most.
	defer lines.Flush(flushTime)
	pluginLog, log := logline.New(lines, os.Getenv(handshake.LogLevelEnv))
	slog.SetDefault(log)
	if privilegeErr != nil {
		log.Error("no_new_privs cannot be set", "reason", privilegeErr)
		return exitError
	}
	out, err := takeOutput(log)
	if err != nil {
		log.Error("standard output cannot be taken over", "reason", err)
		return exitError
	}
	s, err := server.New(described, p.Types, p.Trackers, log, rand.Uint64())
	if err != nil {
		log.Error("plugin cannot be served", "reason", err)
		return exitError
	}
	proc := &process{server: s, output: out, log: log, lines: lines}
	line, err := openLifeline()
	if err != nil {
		log.Error("lifeline cannot be watched", "reason", err)
		return exitError
	}
	if line != nil {
		go proc.watchLifeline(line)
	}
	go proc.watchSignals(line != nil)

	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  handshake.Config(),
		VersionedPlugins: map[int]plugin.PluginSet{handshake.Version: {handshake.Name: &grpcPlugin{server: s}}},
		GRPCServer:       proc.newGRPC,
		Logger:           pluginLog,
	})
	proc.stop()
	return exitDone
}

// newGRPC is called by go-plugin once it has an address.
func (p *process) newGRPC(options []grpc.ServerOption) *grpc.Server {
	options = append(options, server.Limits()...)
	options = append(options,
		grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			p.output.settle()
			return next(ctx, request)
		}),
		grpc.ChainStreamInterceptor(func(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			p.output.settle()
			return next(service, stream)
		}),
	)
	g := grpc.NewServer(options...)
	p.grpc.Store(g)
	return g
}

// watchLifeline ends the process when the host's end of the pipe is closed,
// which the kernel does however the host died.
func (p *process) watchLifeline(line *os.File) {
	awaitEOF(line)
	p.leave("the host is gone")
}

// watchSignals obeys SIGTERM only when nobody else says when to end: a service
// manager signals every process of a unit, and the host must be able to drain
// its plugins first. SIGPIPE must not end the process while it still has
// children to put away; catching it, unlike ignoring it, is not inherited.
func (p *process) watchSignals(hasLifeline bool) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGPIPE)
	for got := range signals {
		switch {
		case got == unix.SIGPIPE:
		case hasLifeline && !p.server.Drained():
			p.log.Info("SIGTERM ignored: the host is alive and has not asked to drain")
		default:
			p.leave("SIGTERM")
		}
	}
}

// leave makes serve return, or ends the process when that takes too long.
func (p *process) leave(reason string) {
	p.leaving.Do(func() {
		p.log.Debug("plugin ends", "reason", reason)
		time.AfterFunc(stopTime+exitTime, func() { os.Exit(exitError) })
		p.stop()
		g := p.grpc.Load()
		if g == nil { // Not even listening yet.
			p.lines.Flush(flushTime)
			os.Exit(exitDone)
		}
		g.Stop()
	})
}

// stop cancels what runs and waits a little for it.
func (p *process) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := p.server.Stop(ctx); err != nil {
		p.log.Warn("probes did not end when cancelled", "reason", err)
	}
}

// grpcPlugin is the plugin's half of what go-plugin calls a plugin.
type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin

	server *server.Server
}

// GRPCServer puts the services on go-plugin's server.
func (g *grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	g.server.Register(s)
	return nil
}

// GRPCClient is the host's half, which a plugin has no use for.
func (*grpcPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin is no host")
}
