package guest

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// frameKind says what a frame on the guest's data port carries. The direction
// is always from the guest to the host.
type frameKind byte

const (
	frameBooted    frameKind = 'b' // the program is about to start; no payload
	frameHeartbeat frameKind = 'h' // process 1 is alive; no payload
	frameStdout    frameKind = '1' // a piece of the program's standard output
	frameStderr    frameKind = '2' // a piece of its standard error
	frameFile      frameKind = 'f' // a collected file: name length (2 bytes), name, a piece of content
	frameTrouble   frameKind = 'e' // process 1 could not do its work: why
	frameExit      frameKind = 'x' // the program ended: exit code (4 bytes); the last frame
)

// maxPayload bounds a frame, so that a corrupt length is noticed at once.
const maxPayload = 1 << 16

// frameMark begins every frame. Anything else at that place means that somebody
// else wrote to the port.
const frameMark = 0xA5

const frameHeader = 1 + 1 + 4 // mark, kind, length

// frameWriter writes frames for many goroutines.
type frameWriter struct {
	mutex sync.Mutex
	out   io.Writer
}

func (w *frameWriter) send(kind frameKind, payload []byte) error {
	frame := make([]byte, frameHeader, frameHeader+len(payload))
	frame[0] = frameMark
	frame[1] = byte(kind)
	binary.BigEndian.PutUint32(frame[2:], uint32(len(payload)))
	frame = append(frame, payload...)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	_, err := w.out.Write(frame)
	return err
}

// stream makes a writer whose every write becomes frames of one kind.
func (w *frameWriter) stream(kind frameKind) io.Writer { return streamWriter{w, kind} }

type streamWriter struct {
	frames *frameWriter
	kind   frameKind
}

func (s streamWriter) Write(data []byte) (int, error) {
	written := 0
	for len(data) > 0 {
		piece := data[:min(len(data), maxPayload)]
		if err := s.frames.send(s.kind, piece); err != nil {
			return written, err
		}
		written += len(piece)
		data = data[len(piece):]
	}
	return written, nil
}

// readFrame reads one frame. It returns io.EOF only between two frames.
func readFrame(in io.Reader) (frameKind, []byte, error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(header[2:])
	if header[0] != frameMark || length > maxPayload {
		return 0, nil, fmt.Errorf("read frame: not a frame: % x", header)
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(in, payload); err != nil {
		return 0, nil, fmt.Errorf("read frame: %w", err)
	}
	return frameKind(header[1]), payload, nil
}

// joinFile makes the payload of a frameFile.
func joinFile(name string, content []byte) []byte {
	payload := binary.BigEndian.AppendUint16(nil, uint16(len(name)))
	payload = append(payload, name...)
	return append(payload, content...)
}

// splitFile is joinFile's inverse.
func splitFile(payload []byte) (name string, content []byte, err error) {
	const lengthSize = 2
	if len(payload) < lengthSize {
		return "", nil, fmt.Errorf("read file frame: %w", io.ErrUnexpectedEOF)
	}
	length := int(binary.BigEndian.Uint16(payload))
	payload = payload[lengthSize:]
	if len(payload) < length {
		return "", nil, fmt.Errorf("read file frame: %w", io.ErrUnexpectedEOF)
	}
	return string(payload[:length]), payload[length:], nil
}
