package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/schema"
)

func validateCases() []testCase {
	return []testCase{
		{"validate", "good_settings", with(goodSettings)},
		{"validate", "bad_settings", with(badSettings)},
		{"validate", "unknown_type", with(unknownType)},
		{"validate", "a_thousand", with(aThousand)},
	}
}

func goodSettings(ctx context.Context, k *kit, p *process) error {
	found, err := p.Validate(ctx, []host.Probe{k.probe(1)})
	if err != nil {
		return err
	}
	for _, d := range found {
		if !d.Warning {
			return fmt.Errorf("settings %s of %s are refused: %s %s", k.Settings, k.Type, d.Attribute, d.Message)
		}
	}
	return nil
}

// mistake is a table of settings with one thing wrong.
type mistake struct {
	kind                 schema.Kind
	typ, attribute, what string
	settings             json.RawMessage
}

// mistakes derives from the schema what must be refused. The other settings of
// the table may be missing: what counts is a complaint about this one.
func mistakes(t schema.Type) []mistake {
	list := []mistake{{t.Kind, t.Name, "no_such_setting", "an unknown key", []byte(`{"no_such_setting": 1}`)}}
	add := func(s *schema.Setting, what, raw string) {
		list = append(list, mistake{t.Kind, t.Name, s.Name, what, []byte(`{` + strconv.Quote(s.Name) + `: ` + raw + `}`)})
	}
	for i := range t.Settings {
		s := &t.Settings[i]
		if s.Required {
			list = append(list, mistake{t.Kind, t.Name, s.Name, "a missing required key", []byte(`{}`)})
		}
		add(s, "null", `null`)
		add(s, "a value of another kind", wrongKind(s.Kind))
		if len(s.Enum) > 0 && s.Kind == schema.String {
			add(s, "a word that is not allowed", `"no-such-word"`)
		}
		if s.Kind == schema.Duration {
			add(s, "a duration without a unit", `"5"`)
		}
		if s.Kind == schema.Int {
			add(s, "a fraction", `1.5`)
			if n, err := strconv.ParseInt(s.Max, 10, 64); err == nil {
				add(s, "a number above the maximum", strconv.FormatInt(n, 10)+"9")
			}
			if n, err := strconv.ParseInt(s.Min, 10, 64); err == nil {
				add(s, "a number below the minimum", strconv.FormatInt(n-1, 10))
			}
		}
	}
	return list
}

func wrongKind(kind schema.ValueKind) string {
	if kind == schema.Bool {
		return `"yes"`
	}
	return `true`
}

func badSettings(ctx context.Context, k *kit, p *process) error {
	var all []mistake
	for _, t := range k.described.Types {
		if probed(t.Kind) {
			all = append(all, mistakes(t)...)
		}
	}
	probes := make([]host.Probe, 0, len(all))
	for i, m := range all {
		probe := k.probeOf(m.kind, uint64(i)) //nolint:gosec // Small.
		probe.Type, probe.Settings = m.typ, m.settings
		probes = append(probes, probe)
	}
	found, err := p.Validate(ctx, probes)
	if err != nil {
		return err
	}
	blamed := map[uint64]string{}
	for _, d := range found {
		if !d.Warning {
			blamed[d.ProbeID] += " " + d.Attribute + " "
		}
	}
	var errs []error
	for i, m := range all {
		if got := blamed[uint64(i)]; !strings.Contains(got, " "+m.attribute+" ") { //nolint:gosec // Small.
			errs = append(errs, fmt.Errorf("type %s: %s (%s) gives no error about %s, but about %q", m.typ, m.what, m.settings, m.attribute, strings.TrimSpace(got)))
		}
	}
	return errors.Join(errs...)
}

func unknownType(ctx context.Context, k *kit, p *process) error {
	probe := k.probe(77)
	probe.Type = "no_such_type"
	found, err := p.Validate(ctx, []host.Probe{probe})
	if err != nil {
		return err
	}
	if len(found) == 0 || found[0].ProbeID != 77 || found[0].Warning {
		return fmt.Errorf("a type it does not provide gives %+v", found)
	}
	return nil
}

// aThousand is one full message; it must be answered within the deadline of a
// call.
func aThousand(ctx context.Context, k *kit, p *process) error {
	probes := make([]host.Probe, 1000)
	for i := range probes {
		probes[i] = k.probe(uint64(i)) //nolint:gosec // Small.
	}
	_, err := p.Validate(ctx, probes)
	return err
}
