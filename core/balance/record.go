package balance

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/halo-ha/halo/core/ipvs"
)

// record is the set of services that are ours in the kernel, on disk so that it
// survives any death of the process. It is written before a service is made and
// after one was removed, so that at every moment it names all that are ours.
type record struct {
	owned map[ipvs.ServiceKey]bool
	// stale says that the file does not say the same, or may not.
	stale bool
	err   error // of the last attempt to write it
}

const (
	recordTitle = "halo's IPVS services, one per line; do not edit while halo runs"
	recordEpoch = "epoch "
)

func (r *record) add(k ipvs.ServiceKey) {
	if !r.owned[k] {
		r.owned[k], r.stale = true, true
	}
}

func (r *record) remove(k ipvs.ServiceKey) {
	if r.owned[k] {
		delete(r.owned, k)
		r.stale = true
	}
}

// text is the content of the file.
func (r *record) text(epoch string) string {
	var b strings.Builder
	b.WriteString(recordTitle + "\n" + recordEpoch + epoch + "\n")
	for _, k := range slices.SortedFunc(maps.Keys(r.owned), ipvs.ServiceKey.Compare) {
		b.WriteString(k.String() + "\n")
	}
	return b.String()
}

// parseRecord reads the file's content. Lines that cannot be read are errors, and
// do not keep the others from being believed. Nothing is believed of another
// epoch.
func parseRecord(text, epoch string) (map[ipvs.ServiceKey]bool, error) {
	title, rest, _ := strings.Cut(text, "\n")
	of, rest, _ := strings.Cut(rest, "\n")
	owned := map[ipvs.ServiceKey]bool{}
	switch {
	case title != recordTitle || !strings.HasPrefix(of, recordEpoch):
		return owned, errors.New("not a record of services")
	case of != recordEpoch+epoch:
		return owned, nil
	}
	var failures []error
	for line := range strings.Lines(rest) {
		k, err := ipvs.ParseServiceKey(strings.TrimSuffix(line, "\n"))
		if err != nil {
			failures = append(failures, err)
			continue
		}
		owned[k] = true
	}
	return owned, errors.Join(failures...)
}

// loadRecord finds out which services an earlier run has left.
func (b *Balancer) loadRecord() {
	b.record = record{owned: map[ipvs.ServiceKey]bool{}}
	text, err := os.ReadFile(b.config.Record)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		b.record.owned, err = parseRecord(string(text), b.config.Epoch)
	}
	b.record.stale = true
	if err != nil {
		b.config.Log.Error("record of own services unreadable: those that are no longer configured may stay in the kernel",
			"path", b.config.Record, "error", err)
	}
}

// claim makes all services that are configured ours, on disk before in the
// kernel. When the disk refuses, traffic is more important than the record: all
// that is lost without it is the removal, after a crash, of services that were
// taken out of the configuration meanwhile.
func (b *Balancer) claim() {
	for k, s := range b.keys {
		if s.introduced {
			b.record.add(k)
		}
	}
	b.noteRecord(b.saveRecord())
}

// forget drops the claim to services that are neither wanted nor there.
func (b *Balancer) forget(actual ipvs.Table) {
	for k := range b.record.owned {
		if b.keys[k] == nil && actual.Find(k) == nil {
			b.record.remove(k)
		}
	}
	b.noteRecord(b.saveRecord())
}

func (b *Balancer) noteRecord(err error) {
	if err != nil && b.record.err == nil {
		b.config.Log.Error("own services cannot be recorded: after a crash those that are no longer configured would stay in the kernel", "error", err)
	}
	b.record.err = err
}

// saveRecord writes the file if it does not say what is so, and removes it when
// there is nothing to say.
func (b *Balancer) saveRecord() error {
	if !b.record.stale {
		return nil
	}
	if len(b.record.owned) == 0 {
		if err := os.Remove(b.config.Record); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove record of own services: %w", err)
		}
		b.record.stale = false
		return nil
	}
	if err := replaceFile(b.config.Record, b.record.text(b.config.Epoch)); err != nil {
		return fmt.Errorf("record own services: %w", err)
	}
	b.record.stale = false
	return nil
}

// replaceFile writes a file so that there is either the old or the new content,
// also after a kill at any moment. It does not wait for the disk: a machine that
// loses power loses the kernel's table, too.
func replaceFile(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // The error that counts is the first.
	}
	return err
}

// withdraw removes what is ours from the kernel.
func (b *Balancer) withdraw() error {
	var failures []error
	for _, k := range slices.SortedFunc(maps.Keys(b.record.owned), ipvs.ServiceKey.Compare) {
		err := b.config.Kernel.Apply(ipvs.Op{Verb: ipvs.DeleteService, Service: ipvs.Service{Key: k}})
		if err != nil && !errors.Is(err, ipvs.ErrNotFound) {
			failures = append(failures, err)
			continue
		}
		b.record.remove(k)
	}
	if err := b.saveRecord(); err != nil {
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}
