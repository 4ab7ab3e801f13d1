package pluginhost

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// largestMessage is what either side may send at once.
const largestMessage = 16 << 20 // bytes

// dialOptions hardens the connection that go-plugin makes, whose own limits
// are none.
func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestMessage), grpc.MaxCallSendMsgSize(largestMessage)),
		grpc.WithChainStreamInterceptor(guardStreams),
	}
}

// guardStreams stands before the streams that go-plugin opens for itself.
//
// Its broker, with which a plugin could make the daemon hold an unlimited
// number of pending connections, is not used and not opened. Its stdio stream
// is the first call on a connection, and the only one whose failure makes it
// forget the connection without closing it, unless the failure reads as
// Unavailable; so it always does.
func guardStreams(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, streamer grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	if strings.HasPrefix(method, "/plugin.GRPCBroker/") {
		return nil, status.Error(codes.Unimplemented, "halo does not use the broker")
	}
	stream, err := streamer(ctx, desc, conn, method, options...)
	if err != nil && strings.HasPrefix(method, "/plugin.GRPCStdio/") {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return stream, err
}
