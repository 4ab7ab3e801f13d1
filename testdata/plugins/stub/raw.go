package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/halo-ha/halo/sdk/host"
)

// newest is a protocol version that no halo speaks yet.
const newest = 99

// describeNewer says that it speaks the newest protocol alone.
func describeNewer(mode string) {
	fmt.Printf(`{"name": %q, "version": "1.0.0", "sdk": "go/9.0.0", "protocols": [%d],
 "types": [{"name": "stub_%s", "kind": "check", "doc": "A broken plugin for tests.",
  "settings": [{"name": "answer", "kind": "string", "doc": "What every probe finds.", "default": "\"pass\"", "enum": ["pass", "fail", "unknown"]}]}]}
`, prefix+mode, newest, mode)
	os.Exit(0)
}

// newer shakes hands on a protocol the host does not know.
func newer(string) {
	serveRawVersion(newest, rawStuck)
}

// deaf works, as far as it says anything: heartbeats and commits. It listens
// neither to SIGTERM nor to its lifeline, and stays when the host says goodbye.
func deaf(string) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	serveRaw(rawQuiet)
}

// rawSession is what a session of a plugin without the SDK does. Messages are
// bytes: only so can they be as wrong as a stranger's.
type rawSession func(stream grpc.ServerStream) error

func serveRaw(session rawSession) { serveRawVersion(host.Protocols()[0], session) }

// serveRawVersion serves by go-plugin alone, and never ends by itself.
func serveRawVersion(version int, session rawSession) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  host.Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{version: {host.Name: &rawPlugin{session: session}}},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.ForceServerCodec(bytesCodec{}))...)
		},
	})
	forever()
}

type rawPlugin struct {
	plugin.NetRPCUnsupportedPlugin

	session rawSession
}

// GRPCServer registers the two services by their names.
func (p *rawPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error { //nolint:unparam // go-plugin's signature.
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "halo.plugin.v1.PluginService",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{unary("Describe", description()), unary("Validate", nil), unary("Drain", nil)},
	}, struct{}{})
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "halo.plugin.v1.CheckService",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: "Session", ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error { return p.session(stream) },
		}},
	}, struct{}{})
	return nil
}

// GRPCClient is the host's half.
func (*rawPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin is no host")
}

// unary answers a call with always the same message; an empty one means no
// diagnostics, or drained.
func unary(name string, answer []byte) grpc.MethodDesc {
	return grpc.MethodDesc{
		MethodName: name,
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var request frame
			if err := decode(&request); err != nil {
				return nil, err
			}
			return &frame{answer}, nil
		},
	}
}

// frame is a message as bytes.
type frame struct{ bytes []byte }

// bytesCodec passes frames through and leaves go-plugin's own messages to protobuf.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) ([]byte, error) {
	switch m := v.(type) {
	case *frame:
		return m.bytes, nil
	case proto.Message:
		return proto.Marshal(m)
	}
	return nil, status.Errorf(codes.Internal, "marshal %T", v)
}

func (bytesCodec) Unmarshal(data []byte, v any) error {
	switch m := v.(type) {
	case *frame:
		m.bytes = append([]byte(nil), data...)
		return nil
	case proto.Message:
		return proto.Unmarshal(data, m)
	}
	return status.Errorf(codes.Internal, "unmarshal %T", v)
}

// rawStuck takes the session and never says a word.
func rawStuck(stream grpc.ServerStream) error {
	<-stream.Context().Done()
	return nil
}

// rawQuiet says that all is well and finds nothing out.
func rawQuiet(stream grpc.ServerStream) error {
	return converse(stream, func(known told) [][]byte { return [][]byte{heartbeat(known)} })
}

// rawLies sends what no honest plugin would, every 50 ms: results of probes it
// was not given, of another incarnation and of generations to come, with
// details, weights and metrics beyond all limits.
func rawLies(stream grpc.ServerStream) error {
	return converse(stream, func(known told) [][]byte {
		huge := strings.Repeat("lies \x1b[31m\n", 1<<14)
		lies := make([]line, 0, 2+3*len(known.probes))
		for _, id := range []uint64{math.MaxUint64, 0} {
			lies = append(lies, line{id: id, outcome: 2})
		}
		var metrics []byte // A hundred that are none.
		for i := range 100 {
			metric := text(nil, 1, fmt.Sprintf("Not A Name %d %s", i, huge[:200]))
			metric = protowire.AppendTag(metric, 2, protowire.Fixed64Type)
			metric = protowire.AppendFixed64(metric, math.Float64bits(math.NaN()))
			metrics = message(metrics, 5, metric)
		}
		for _, id := range known.probes {
			lies = append(lies,
				// Weight -1, a reason far beyond, and a detail without end.
				line{id, 1, number(text(number(nil, 2, 9999), 3, huge), 4, math.MaxUint64)},
				line{id, 1, number(nil, 4, math.MaxInt64)},
				line{id, 42, metrics}, // An outcome nobody knows.
			)
		}
		fakes := results(known.generation, lies)
		return [][]byte{
			response(known.incarnation, 1, fakes),
			response(known.incarnation, 1, results(known.generation+1000, lies)),
			response(known.incarnation+1, 1, fakes),
			response(known.incarnation, 3, number(nil, 1, known.generation+1000)),
			response(known.incarnation, 2, number(number(nil, 2, math.MaxUint32), 5, math.MaxUint64)),
			heartbeat(known),
		}
	})
}

// rawGarbles sends what is no message: a text that is not UTF-8, and then
// bytes that mean nothing.
func rawGarbles(stream grpc.ServerStream) error {
	return converse(stream, func(known told) [][]byte {
		bad := line{id: 1, remark: text(nil, 3, "\xff\xfe")}
		return [][]byte{heartbeat(known), response(known.incarnation, 1, results(known.generation, []line{bad})), []byte("\xff\xff\xff\xff")}
	})
}

// converse answers commits as it should and says more every 50 ms.
func converse(stream grpc.ServerStream, say func(told) [][]byte) error {
	heard := make(chan []byte)
	go func() {
		defer close(heard)
		for {
			var m frame
			if stream.RecvMsg(&m) != nil {
				return
			}
			heard <- m.bytes
		}
	}()
	var known told
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		var out [][]byte
		select {
		case m, ok := <-heard:
			if !ok {
				return nil
			}
			if known.hear(m) {
				out = [][]byte{response(known.incarnation, 3, number(nil, 1, known.generation))}
			}
		case <-ticker.C:
			if known.incarnation == 0 {
				continue
			}
			out = say(known)
		}
		for _, m := range out {
			if err := stream.SendMsg(&frame{m}); err != nil {
				return err
			}
		}
	}
}
