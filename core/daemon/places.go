package daemon

import (
	"maps"
	"sync"
)

// places is which speaker each instance is with. Its lock is never held for
// longer than a look, so speakers may ask it.
type places struct {
	mu       sync.Mutex
	speakers map[string]*running
}

// of returns an instance's speaker, nil for an instance that is not there.
func (p *places) of(instance string) *running {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.speakers[instance]
}

// put says where an instance is; nil forgets it.
func (p *places) put(instance string, s *running) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s == nil {
		delete(p.speakers, instance)
		return
	}
	p.speakers[instance] = s
}

// all is a copy.
func (p *places) all() map[string]*running {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.speakers)
}
