package main

import (
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/halo-ha/halo/sdk/host"
)

// The messages of sdk/internal/proto by their field numbers, written by hand:
// the generated code could not write what the lies need.

// told is what the host has said so far.
type told struct {
	incarnation, generation uint64
	probes                  []uint64
}

// hear reads one SessionRequest and reports whether it was a commit.
func (k *told) hear(request []byte) (commit bool) {
	fields(request, func(number protowire.Number, value []byte, _ uint64) {
		switch number {
		case 1: // Begin
			fields(value, func(number protowire.Number, _ []byte, v uint64) {
				if number == 1 {
					k.incarnation = v
				}
			})
		case 2: // Upsert
			fields(value, func(_ protowire.Number, probe []byte, _ uint64) {
				fields(probe, func(number protowire.Number, _ []byte, v uint64) {
					if number == 1 {
						k.probes = append(k.probes, v)
					}
				})
			})
		case 4: // Commit
			commit = true
			fields(value, func(number protowire.Number, _ []byte, v uint64) {
				if number == 1 {
					k.generation = v
				}
			})
		}
	})
	return commit
}

// fields calls f for each field of a message that is a number or has a length.
func fields(message []byte, f func(number protowire.Number, value []byte, v uint64)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		var value []byte
		var v uint64
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return
		}
		f(number, value, v)
		message = message[n:]
	}
}

func number(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func text(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func message(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// description is a DescribeResponse that says what the program says by itself.
func description() []byte {
	name := filepath.Base(os.Args[0])
	setting := text(number(text(nil, 1, "answer"), 2, 4), 3, "What every probe finds.")
	setting = text(setting, 5, `"pass"`)
	for _, word := range []string{"pass", "fail", "unknown"} {
		setting = text(setting, 8, word)
	}
	check := text(number(text(nil, 1, "stub_"+strings.TrimPrefix(name, prefix)), 2, 1), 3, "A broken plugin for tests.")
	check = message(check, 4, setting)
	b := text(text(text(nil, 1, name), 2, "1.0.0"), 3, "none/0.0.0")
	return message(number(b, 4, uint64(host.Protocols()[0])), 5, check)
}

// response is a SessionResponse: 1 results, 2 heartbeat, 3 committed.
func response(incarnation uint64, field protowire.Number, m []byte) []byte {
	return number(message(nil, field, m), 15, incarnation)
}

func heartbeat(known told) []byte { return response(known.incarnation, 2, nil) }

// line is one result: what its columns hold, and the fields of its remark.
type line struct {
	id, outcome uint64
	remark      []byte
}

// results is a Results message of that generation.
func results(generation uint64, all []line) []byte {
	b := number(nil, 1, generation)
	for i, l := range all {
		b = number(number(b, 2, l.id), 3, l.outcome)
		if l.remark != nil {
			b = message(b, 6, number(l.remark, 1, uint64(i))) //nolint:gosec // Small.
		}
	}
	return b
}
