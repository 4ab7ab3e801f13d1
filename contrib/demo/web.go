package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// web is a web server that answers everything with its own name.
func web(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("web: want a name")
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp4", ":80")
	if err != nil {
		return fmt.Errorf("web %s: %w", args[0], err)
	}
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			fmt.Fprintln(w, args[0])
		}),
	}
	return server.Serve(listener)
}
