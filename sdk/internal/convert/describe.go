package convert

import (
	"fmt"

	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
	"github.com/halo-ha/halo/sdk/schema"
)

// ToDescribe makes the answer to Describe.
func ToDescribe(from schema.Plugin) *pb.DescribeResponse {
	to := &pb.DescribeResponse{Name: from.Name, Version: from.Version, Sdk: from.SDK}
	for _, version := range from.Protocols {
		to.Protocols = append(to.Protocols, toInt32(version))
	}
	for _, t := range from.Types {
		to.Types = append(to.Types, toType(t))
	}
	return to
}

func toType(from schema.Type) *pb.Type {
	to := &pb.Type{Name: from.Name, Kind: toKind(from.Kind), Doc: from.Doc}
	for i := range from.Settings {
		s := &from.Settings[i]
		to.Settings = append(to.Settings, &pb.Setting{
			Name: s.Name, Kind: toValueKind(s.Kind), Doc: s.Doc, Required: s.Required,
			Default: s.Default, Min: s.Min, Max: s.Max, Enum: s.Enum,
			Sensitive: s.Sensitive, Capability: s.Capability,
		})
	}
	return to
}

// FromDescribe reads what a plugin says of itself. It judges nothing:
// schema.CheckPlugin does, and an enum this version does not know arrives there
// under a name that it refuses.
func FromDescribe(from *pb.DescribeResponse) schema.Plugin {
	to := schema.Plugin{Name: from.GetName(), Version: from.GetVersion(), SDK: from.GetSdk()}
	for _, version := range from.GetProtocols() {
		to.Protocols = append(to.Protocols, int(version))
	}
	for _, t := range from.GetTypes() {
		to.Types = append(to.Types, fromType(t))
	}
	return to
}

func fromType(from *pb.Type) schema.Type {
	to := schema.Type{
		Name: from.GetName(), Kind: fromKind(from.GetKind()), Doc: from.GetDoc(),
		// Never nil: in JSON that would not be what `describe` prints.
		Settings: make([]schema.Setting, 0, len(from.GetSettings())),
	}
	for _, s := range from.GetSettings() {
		to.Settings = append(to.Settings, schema.Setting{
			Name: s.GetName(), Kind: fromValueKind(s.GetKind()), Doc: s.GetDoc(), Required: s.GetRequired(),
			Default: s.GetDefault(), Min: s.GetMin(), Max: s.GetMax(), Enum: s.GetEnum(),
			Sensitive: s.GetSensitive(), Capability: s.GetCapability(),
		})
	}
	return to
}

func toKind(k schema.Kind) pb.Kind {
	switch k {
	case schema.KindCheck:
		return pb.Kind_KIND_CHECK
	case schema.KindTrack:
		return pb.Kind_KIND_TRACK
	case schema.KindNotify:
		return pb.Kind_KIND_NOTIFY
	}
	return pb.Kind_KIND_UNSPECIFIED
}

func fromKind(k pb.Kind) schema.Kind {
	switch k {
	case pb.Kind_KIND_CHECK:
		return schema.KindCheck
	case pb.Kind_KIND_TRACK:
		return schema.KindTrack
	case pb.Kind_KIND_NOTIFY:
		return schema.KindNotify
	case pb.Kind_KIND_UNSPECIFIED:
	}
	return schema.Kind(fmt.Sprintf("number-%d", k))
}

func toValueKind(k schema.ValueKind) pb.ValueKind {
	switch k {
	case schema.Bool:
		return pb.ValueKind_VALUE_KIND_BOOL
	case schema.Int:
		return pb.ValueKind_VALUE_KIND_INT
	case schema.Float:
		return pb.ValueKind_VALUE_KIND_FLOAT
	case schema.String:
		return pb.ValueKind_VALUE_KIND_STRING
	case schema.Duration:
		return pb.ValueKind_VALUE_KIND_DURATION
	case schema.Strings:
		return pb.ValueKind_VALUE_KIND_STRINGS
	case schema.Ints:
		return pb.ValueKind_VALUE_KIND_INTS
	case schema.Map:
		return pb.ValueKind_VALUE_KIND_MAP
	}
	return pb.ValueKind_VALUE_KIND_UNSPECIFIED
}

func fromValueKind(k pb.ValueKind) schema.ValueKind {
	switch k {
	case pb.ValueKind_VALUE_KIND_BOOL:
		return schema.Bool
	case pb.ValueKind_VALUE_KIND_INT:
		return schema.Int
	case pb.ValueKind_VALUE_KIND_FLOAT:
		return schema.Float
	case pb.ValueKind_VALUE_KIND_STRING:
		return schema.String
	case pb.ValueKind_VALUE_KIND_DURATION:
		return schema.Duration
	case pb.ValueKind_VALUE_KIND_STRINGS:
		return schema.Strings
	case pb.ValueKind_VALUE_KIND_INTS:
		return schema.Ints
	case pb.ValueKind_VALUE_KIND_MAP:
		return schema.Map
	case pb.ValueKind_VALUE_KIND_UNSPECIFIED:
	}
	return schema.ValueKind(fmt.Sprintf("number-%d", k))
}
