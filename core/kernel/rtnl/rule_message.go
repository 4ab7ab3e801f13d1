package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// ruleActions are the kernel's numbers, in the order of inet's.
func ruleActions() []byte {
	return []byte{
		unix.FR_ACT_TO_TBL, unix.FR_ACT_GOTO, unix.FR_ACT_NOP, unix.FR_ACT_BLACKHOLE, unix.FR_ACT_UNREACHABLE, unix.FR_ACT_PROHIBIT,
	}
}

func ruleFamily(ipv6 bool) byte {
	if ipv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// noSuppression is how the kernel writes that nothing is suppressed.
const noSuppression = 0xffffffff

// ruleRequest adds or deletes a rule. Both have all attributes: what is left
// out means anything when deleting.
func ruleRequest(kind netlink.HeaderType, flags netlink.HeaderFlags, wanted inet.Rule) request {
	if err := wanted.Check(); err != nil {
		return request{err: err}
	}
	if int(wanted.Action) >= len(ruleActions()) {
		return request{err: fmt.Errorf("rule %d has the unknown action %s", wanted.Priority, wanted.Action)}
	}
	r := wanted.ID()
	header := make([]byte, ruleHeaderSize)
	header[0], header[3], header[7] = ruleFamily(r.IPv6), r.TOS, ruleActions()[r.Action]
	if r.From.IsValid() {
		header[2] = byte(r.From.Bits())
	}
	if r.To.IsValid() {
		header[1] = byte(r.To.Bits())
	}
	if r.Not {
		binary.NativeEndian.PutUint32(header[8:], unix.FIB_RULE_INVERT)
	}
	message, err := body(header, func(a *netlink.AttributeEncoder) {
		a.Uint32(unix.FRA_PRIORITY, r.Priority)
		a.Uint8(unix.FRA_PROTOCOL, uint8(wanted.ProtocolOrDefault()))
		if r.From.IsValid() {
			a.Bytes(unix.FRA_SRC, r.From.Addr().AsSlice())
		}
		if r.To.IsValid() {
			a.Bytes(unix.FRA_DST, r.To.Addr().AsSlice())
		}
		if r.IIF != "" {
			a.String(unix.FRA_IIFNAME, r.IIF)
		}
		if r.OIF != "" {
			a.String(unix.FRA_OIFNAME, r.OIF)
		}
		if r.Mark != 0 || r.Mask != 0 {
			a.Uint32(unix.FRA_FWMARK, r.Mark)
			a.Uint32(unix.FRA_FWMASK, r.Mask)
		}
		if r.TunnelID != 0 {
			a.Bytes(unix.FRA_TUN_ID, binary.BigEndian.AppendUint64(nil, r.TunnelID))
		}
		if r.UIDs.Set {
			uids := binary.NativeEndian.AppendUint32(nil, r.UIDs.Value.First)
			a.Bytes(unix.FRA_UID_RANGE, binary.NativeEndian.AppendUint32(uids, r.UIDs.Value.Last))
		}
		if r.IPProtocol != 0 {
			a.Uint8(unix.FRA_IP_PROTO, r.IPProtocol)
		}
		rulePorts(a, unix.FRA_SPORT_RANGE, r.SourcePorts)
		rulePorts(a, unix.FRA_DPORT_RANGE, r.DestinationPorts)
		if r.Table != 0 {
			a.Uint32(unix.FRA_TABLE, r.Table)
		}
		if r.Action == inet.Goto {
			a.Uint32(unix.FRA_GOTO, r.Goto)
		}
		if r.L3MasterDevice {
			a.Uint8(unix.FRA_L3MDEV, 1)
		}
		if r.SuppressPrefixLength.Set {
			a.Uint32(unix.FRA_SUPPRESS_PREFIXLEN, uint32(r.SuppressPrefixLength.Value))
		}
		if r.SuppressGroup.Set {
			a.Uint32(unix.FRA_SUPPRESS_IFGROUP, r.SuppressGroup.Value)
		}
		if r.Realms != 0 {
			a.Uint32(unix.FRA_FLOW, r.Realms)
		}
	})
	return request{kind: kind, flags: flags, body: message, err: err}
}

func rulePorts(a *netlink.AttributeEncoder, kind uint16, p inet.PortRange) {
	if p != (inet.PortRange{}) {
		a.Bytes(kind, binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, p.First), p.Last))
	}
}

// parseRule reads a rule message: struct fib_rule_hdr and attributes. Rules
// with actions that have no name here are not known.
func parseRule(body []byte) (r inet.Rule, known bool, err error) {
	if len(body) < ruleHeaderSize {
		return inet.Rule{}, false, fmt.Errorf("rule message of %d bytes is too short", len(body))
	}
	attributes, err := netlink.NewAttributeDecoder(body[ruleHeaderSize:])
	if err != nil {
		return inet.Rule{}, false, fmt.Errorf("rule message: %w", err)
	}
	for i, action := range ruleActions() {
		if body[7] == action {
			r.Action, known = inet.RuleAction(i), true
		}
	}
	r.IPv6 = body[0] == unix.AF_INET6
	known = known && (r.IPv6 || body[0] == unix.AF_INET)
	r.TOS, r.Table = body[3], uint32(body[4])
	r.Not = uint32At(body, 8)&unix.FIB_RULE_INVERT != 0
	for attributes.Next() {
		parseRuleAttribute(&r, body, attributes)
	}
	if err := attributes.Err(); err != nil {
		return inet.Rule{}, false, fmt.Errorf("rule message: %w", err)
	}
	if r.Action != inet.Lookup {
		r.Table = 0
	}
	return r, known, nil
}

func parseRuleAttribute(r *inet.Rule, body []byte, a *netlink.AttributeDecoder) {
	switch a.Type() {
	case unix.FRA_SRC:
		r.From = netip.PrefixFrom(address(a.Bytes()), int(body[2]))
	case unix.FRA_DST:
		r.To = netip.PrefixFrom(address(a.Bytes()), int(body[1]))
	case unix.FRA_PRIORITY:
		r.Priority = a.Uint32()
	case unix.FRA_PROTOCOL:
		r.Protocol = inet.Protocol(a.Uint8())
	case unix.FRA_IIFNAME:
		r.IIF = strings.Clone(a.String())
	case unix.FRA_OIFNAME:
		r.OIF = strings.Clone(a.String())
	case unix.FRA_FWMARK:
		r.Mark = a.Uint32()
	case unix.FRA_FWMASK:
		r.Mask = a.Uint32()
	case unix.FRA_TUN_ID:
		if b := a.Bytes(); len(b) == 8 {
			r.TunnelID = binary.BigEndian.Uint64(b)
		}
	case unix.FRA_UID_RANGE:
		if b := a.Bytes(); len(b) == 8 {
			r.UIDs = inet.Some(inet.Range{First: uint32At(b, 0), Last: uint32At(b, 4)})
		}
	case unix.FRA_IP_PROTO:
		r.IPProtocol = a.Uint8()
	case unix.FRA_SPORT_RANGE:
		r.SourcePorts = parsePorts(a.Bytes())
	case unix.FRA_DPORT_RANGE:
		r.DestinationPorts = parsePorts(a.Bytes())
	case unix.FRA_TABLE:
		r.Table = a.Uint32()
	case unix.FRA_GOTO:
		r.Goto = a.Uint32()
	case unix.FRA_L3MDEV:
		r.L3MasterDevice = a.Uint8() != 0
	case unix.FRA_SUPPRESS_PREFIXLEN:
		if length := a.Uint32(); length != noSuppression {
			r.SuppressPrefixLength = inet.Some(uint8(length))
		}
	case unix.FRA_SUPPRESS_IFGROUP:
		if group := a.Uint32(); group != noSuppression {
			r.SuppressGroup = inet.Some(group)
		}
	case unix.FRA_FLOW:
		r.Realms = a.Uint32()
	}
}

func parsePorts(b []byte) inet.PortRange {
	if len(b) != 4 {
		return inet.PortRange{}
	}
	return inet.PortRange{First: binary.NativeEndian.Uint16(b), Last: binary.NativeEndian.Uint16(b[2:])}
}

// dumpRules reads the rules of both families, in their order.
func (s *socket) dumpRules(protocol inet.Protocol) ([]inet.Rule, error) {
	var rules []inet.Rule
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		header := make([]byte, ruleHeaderSize)
		header[0] = family
		err := s.dump(request{kind: unix.RTM_GETRULE, body: header},
			func(kind netlink.HeaderType, body []byte) error {
				if kind != unix.RTM_NEWRULE || len(body) == 0 || body[0] != family {
					return nil
				}
				r, known, err := parseRule(body)
				if err == nil && known && (protocol == 0 || r.Protocol == protocol) {
					rules = append(rules, r)
				}
				return err
			})
		if err != nil && !isAny(err, []unix.Errno{unix.EAFNOSUPPORT, unix.EOPNOTSUPP}) {
			return nil, err
		}
	}
	return rules, nil
}
