package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

func sessionCases() []testCase {
	return []testCase{
		{"session", "first_results", with(firstResults)},
		{"session", "keeps_reporting", with(keepsReporting)},
		{"session", "heartbeats", with(heartbeats)},
		{"session", "one_at_a_time", with(oneAtATime)},
	}
}

// firstResults commits many probes: each must be heard of, none that is not
// theirs, and all under the generation that was committed.
func firstResults(ctx context.Context, k *kit, p *process) error {
	const n = 50
	probes := make([]host.Probe, n)
	for i := range probes {
		probes[i] = k.probe(uint64(1000 + i)) //nolint:gosec // Small.
	}
	s, err := k.open(ctx, p, 3, probes...)
	if err != nil {
		return err
	}
	defer s.Close()
	seen := map[uint64]bool{}
	for end := time.Now().Add(k.Patience); len(seen) < n; {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d probes have no result after %v", n-len(seen), n, k.Patience)
		}
		m, err := s.next()
		if err != nil {
			return err
		}
		results, ok := m.(*host.Results)
		if !ok {
			continue
		}
		if results.Generation != 1 {
			return fmt.Errorf("results of generation %d, committed is 1", results.Generation)
		}
		for _, r := range results.Results {
			if r.ID < 1000 || r.ID >= 1000+n {
				return fmt.Errorf("a result of probe %d, which there is not", r.ID)
			}
			seen[r.ID] = true
		}
	}
	return nil
}

// keepsReporting counts the results of one probe: every run is told, not only
// changes.
func keepsReporting(ctx context.Context, k *kit, p *process) error {
	s, err := k.open(ctx, p, 1, k.probe(1))
	if err != nil {
		return err
	}
	defer s.Close()
	for count, end := 0, time.Now().Add(k.Patience); count < 5; {
		if time.Now().After(end) {
			return fmt.Errorf("%d results in %v of a probe that runs twice a second", count, k.Patience)
		}
		m, err := s.next()
		if err != nil {
			return err
		}
		if results, ok := m.(*host.Results); ok {
			count += len(results.Results)
		}
	}
	return nil
}

func heartbeats(ctx context.Context, k *kit, p *process) error {
	s, err := k.open(ctx, p, 1, k.probe(1), k.probe(2))
	if err != nil {
		return err
	}
	defer s.Close()
	beats, begin := 0, time.Now()
	var last *host.Heartbeat
	for beats < 4 {
		if took := time.Since(begin); took > k.Patience {
			return fmt.Errorf("%d heartbeats in %v, want one a second", beats, took.Round(time.Second))
		}
		m, err := s.next()
		if err != nil {
			return err
		}
		if h, ok := m.(*host.Heartbeat); ok {
			beats++
			last = h
		}
	}
	if took := time.Since(begin); took < 2*time.Second {
		return fmt.Errorf("4 heartbeats in %v, want one a second", took)
	}
	if last.Probes != 2 || last.Done == 0 {
		return fmt.Errorf("after seconds with two probes, the heartbeat says %+v", *last)
	}
	return nil
}

// oneAtATime opens a second session beside the first: it must be refused and
// must not disturb.
func oneAtATime(ctx context.Context, k *kit, p *process) error {
	first, err := k.open(ctx, p, 1, k.probe(1))
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := k.open(ctx, p, 2, k.probe(1))
	if err == nil {
		second.Close()
		return errors.New("two sessions run side by side: every probe would run twice")
	}
	_, err = first.next()
	return err
}

func reloadCases() []testCase {
	return []testCase{
		{"reload", "unchanged_keeps_timers", with(unchangedKeepsTimers)},
		{"reload", "generations", with(generations)},
	}
}

// unchangedKeepsTimers commits the same probe again and again, much faster than
// its interval. A plugin that starts its timers over at each commit runs it far
// too often or never.
func unchangedKeepsTimers(ctx context.Context, k *kit, p *process) error {
	probe := k.probe(1)
	probe.Schedule.Interval, probe.Schedule.RetryInterval = time.Second, time.Second
	s, err := k.open(ctx, p, 1, probe)
	if err != nil {
		return err
	}
	defer s.Close()
	results := 0
	count := func(m host.Message) {
		if r, ok := m.(*host.Results); ok {
			results += len(r.Results)
		}
	}
	const seconds = 6
	begin := time.Now()
	for generation := uint64(2); time.Since(begin) < seconds*time.Second; generation++ {
		if err := s.commit(generation, []host.Probe{probe}, nil, count); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	took := time.Since(begin).Seconds()
	if results < 2 || float64(results) > 2*took+2 {
		return fmt.Errorf("%d results in %.0f s of a probe that runs once a second, while it is committed unchanged", results, took)
	}
	return nil
}

// generations holds the order: no results of a generation before it has been
// answered, none of an older one after.
func generations(ctx context.Context, k *kit, p *process) error {
	s, err := k.open(ctx, p, 1, k.probe(1))
	if err != nil {
		return err
	}
	defer s.Close()
	for generation := uint64(2); generation < 12; generation++ {
		var wrong error
		seen := func(m host.Message) {
			if r, ok := m.(*host.Results); ok && r.Generation != generation-1 {
				wrong = fmt.Errorf("results of generation %d before its commit was answered", r.Generation)
			}
		}
		if err := errors.Join(s.commit(generation, []host.Probe{k.probe(generation)}, nil, seen), wrong); err != nil {
			return err
		}
		for {
			m, err := s.next()
			if err != nil {
				return err
			}
			if r, ok := m.(*host.Results); ok {
				if r.Generation != generation {
					return fmt.Errorf("results of generation %d after commit %d was answered", r.Generation, generation)
				}
				break
			}
		}
	}
	return nil
}

func removeCases() []testCase {
	return []testCase{{"remove", "silent_after_commit", with(silentAfterCommit)}}
}

func silentAfterCommit(ctx context.Context, k *kit, p *process) error {
	s, err := k.open(ctx, p, 1, k.probe(1), k.probe(2))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.collect(time.Second, func(host.Message) error { return nil }); err != nil {
		return err
	}
	if err := s.commit(2, nil, []uint64{1}, nil); err != nil {
		return err
	}
	other := false
	err = s.collect(3*time.Second, func(m host.Message) error {
		r, ok := m.(*host.Results)
		if !ok {
			return nil
		}
		for _, one := range r.Results {
			if one.ID == 1 {
				return fmt.Errorf("a result (%v) of a probe that has been removed", one.Outcome)
			}
			other = true
		}
		return nil
	})
	if err == nil && !other {
		return errors.New("the removal of one probe silenced another")
	}
	return err
}

func garbageCases() []testCase {
	return []testCase{
		{"garbage", "settings", with(garbageSettings)},
		{"garbage", "schedule", with(garbageSchedule)},
		{"garbage", "unknown_type", with(garbageType)},
	}
}

// garbageSettings must give complaints, not a crash.
func garbageSettings(ctx context.Context, k *kit, p *process) error {
	texts := []string{
		`null`, `[]`, `"x"`, `{`, `{"a"`, `{"":{}}`, "\x00", "\xff\xfe", `{"a":1}{"b":2}`,
		`{"a":` + nested(5000) + `}`, `{"` + longText(100_000) + `":1}`, `123456789012345678901234567890`,
	}
	probes := make([]host.Probe, 0, len(texts))
	for i, text := range texts {
		probe := k.probe(uint64(i)) //nolint:gosec // Small.
		probe.Settings = []byte(text)
		probes = append(probes, probe)
	}
	found, err := p.Validate(ctx, probes)
	if err != nil {
		return err
	}
	refused := map[uint64]bool{}
	for _, d := range found {
		refused[d.ProbeID] = refused[d.ProbeID] || !d.Warning
	}
	for _, probe := range probes {
		if !refused[probe.ID] {
			return fmt.Errorf("settings %.40q are accepted", probe.Settings)
		}
	}
	_, err = p.Describe(ctx) // It is still there.
	return err
}

func nested(depth int) string {
	text := make([]byte, 0, 2*depth)
	for range depth {
		text = append(text, '[')
	}
	for range depth {
		text = append(text, ']')
	}
	return string(text)
}

func longText(n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = 'a'
	}
	return string(text)
}

// garbageSchedule sends probes no scheduler can run. The session may end; the
// program may not.
func garbageSchedule(ctx context.Context, k *kit, p *process) error {
	for _, spoil := range []func(*host.Probe){
		func(probe *host.Probe) { probe.Schedule = host.Schedule{} },
		func(probe *host.Probe) { probe.Schedule.Interval = -time.Second },
		func(probe *host.Probe) { probe.Schedule.Rise = -1 },
	} {
		probe := k.probe(1)
		spoil(&probe)
		if s, err := k.open(ctx, p, 1, probe); err == nil {
			s.Close()
		}
		if _, err := p.Describe(ctx); err != nil {
			return fmt.Errorf("after schedule %+v: %w", probe.Schedule, err)
		}
	}
	return nil
}

// garbageType runs a probe of a type there is not: it is not known, not down.
func garbageType(ctx context.Context, k *kit, p *process) error {
	probe := k.probe(1)
	probe.Type = "no_such_type"
	s, err := k.open(ctx, p, 1, probe)
	if err != nil {
		return nil // To refuse the session is right as well.
	}
	defer s.Close()
	return s.collect(2*time.Second, func(m host.Message) error {
		if r, ok := m.(*host.Results); ok && r.Results[0].Outcome != check.Unknown {
			return fmt.Errorf("a probe of an unknown type is said to %v", r.Results[0].Outcome)
		}
		return nil
	})
}
