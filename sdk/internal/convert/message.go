package convert

import (
	"math"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
	"github.com/halo-ha/halo/sdk/internal/session"
)

// What a plugin may say of a configuration.
const (
	maxDiagnostics       = 4096
	maxAttribute         = 256
	maxDiagnosticMessage = 1024
)

// ToCommitted makes the answer to a commit.
func ToCommitted(incarnation uint64, from *session.Committed) *pb.SessionResponse {
	return &pb.SessionResponse{
		Incarnation: incarnation,
		Message:     &pb.SessionResponse_Committed{Committed: &pb.Committed{Generation: from.Generation}},
	}
}

// ToHeartbeat makes the sign of life.
func ToHeartbeat(incarnation uint64, from *session.Heartbeat) *pb.SessionResponse {
	return &pb.SessionResponse{
		Incarnation: incarnation,
		Message: &pb.SessionResponse_Heartbeat{Heartbeat: &pb.Heartbeat{
			LoopLag:  durationpb.New(from.LoopLag),
			Probes:   toUint32(from.Probes),
			InFlight: toUint32(from.InFlight),
			Overdue:  toUint32(from.Overdue),
			Done:     from.Done,
		}},
	}
}

// FromResponse reads what a plugin says. It returns nil for a message of a kind
// it does not know, which a plugin of a later version may send.
func FromResponse(from *pb.SessionResponse) session.Message {
	switch m := from.GetMessage().(type) {
	case *pb.SessionResponse_Results:
		return FromResults(m.Results)
	case *pb.SessionResponse_Heartbeat:
		h := m.Heartbeat
		return &session.Heartbeat{
			LoopLag:  fromDuration(h.GetLoopLag()),
			Probes:   fromUint32(h.GetProbes()),
			InFlight: fromUint32(h.GetInFlight()),
			Overdue:  fromUint32(h.GetOverdue()),
			Done:     h.GetDone(),
		}
	case *pb.SessionResponse_Committed:
		return &session.Committed{Generation: m.Committed.GetGeneration()}
	}
	return nil
}

// ToDiagnostics makes messages of complaints.
func ToDiagnostics(from []session.Diagnostic) []*pb.Diagnostic {
	to := make([]*pb.Diagnostic, 0, len(from))
	for _, d := range from {
		to = append(to, &pb.Diagnostic{
			ProbeId: d.ProbeID, Warning: d.Warning,
			Attribute: Text(d.Attribute, maxAttribute),
			Message:   Text(d.Message, maxDiagnosticMessage),
		})
	}
	return to
}

// FromDiagnostics reads complaints; after 4,096 nobody reads on.
func FromDiagnostics(from []*pb.Diagnostic) []session.Diagnostic {
	from = from[:min(len(from), maxDiagnostics)]
	to := make([]session.Diagnostic, 0, len(from))
	for _, d := range from {
		to = append(to, session.Diagnostic{
			ProbeID: d.GetProbeId(), Warning: d.GetWarning(),
			Attribute: Text(d.GetAttribute(), maxAttribute),
			Message:   Text(d.GetMessage(), maxDiagnosticMessage),
		})
	}
	return to
}

func toUint32(n int) uint32 {
	return uint32(min(max(n, 0), math.MaxInt32)) //nolint:gosec // Cut to fit.
}

func fromUint32(n uint32) int { return int(min(n, math.MaxInt32)) }
