package peers

import "testing"

// stage is the testing.TB of what outlives the scenes of an act: the network,
// its hosts and the programs on them. They end with the act, but what goes
// wrong with them in a scene fails that scene, in whose goroutine it is found.
type stage struct {
	testing.TB            // the act
	scene      *testing.T // nil between scenes
}

func (s *stage) current() testing.TB {
	if s.scene != nil {
		return s.scene
	}
	return s.TB
}

func (s *stage) Helper()           { s.current().Helper() }
func (s *stage) Error(args ...any) { s.current().Helper(); s.current().Error(args...) }

func (s *stage) Errorf(format string, args ...any) {
	s.current().Helper()
	s.current().Errorf(format, args...)
}
func (s *stage) Fail()             { s.current().Fail() }
func (s *stage) FailNow()          { s.current().FailNow() }
func (s *stage) Fatal(args ...any) { s.current().Helper(); s.current().Fatal(args...) }

func (s *stage) Fatalf(format string, args ...any) {
	s.current().Helper()
	s.current().Fatalf(format, args...)
}

func (s *stage) Log(args ...any) { s.current().Helper(); s.current().Log(args...) }

func (s *stage) Logf(format string, args ...any) {
	s.current().Helper()
	s.current().Logf(format, args...)
}

func (s *stage) Skip(args ...any) { s.current().Helper(); s.current().Skip(args...) }

func (s *stage) Skipf(format string, args ...any) {
	s.current().Helper()
	s.current().Skipf(format, args...)
}
func (s *stage) SkipNow() { s.current().SkipNow() }
