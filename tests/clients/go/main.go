// Programs of users are built on client-go: this one does what they do, one check at a time, and looks at what comes back.
//
//	clients KUBECONFIG NAMESPACE CHECK...    runs checks by their names; a line "ok NAME" or "failed NAME: why" for each
//	clients list                             says which there are
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const protobuf = "application/vnd.kubernetes.protobuf"

// lab is what a check works with: a namespace of its own, and clients that speak protobuf as controllers do, or JSON.
type lab struct {
	ctx       context.Context
	namespace string
	config    *rest.Config
	proto     kubernetes.Interface
	json      kubernetes.Interface
	seen      *requests
}

var checks = map[string]func(*lab) error{}

// requests remembers what was asked of the server, and which media types it answered with.
type requests struct {
	sync.Mutex
	lines []string
	types map[string]bool
}

type recording struct {
	http.RoundTripper
	seen *requests
}

func (r recording) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := r.RoundTripper.RoundTrip(request)
	r.seen.Lock()
	defer r.seen.Unlock()
	r.seen.lines = append(r.seen.lines, request.Method+" "+request.URL.RequestURI())
	if err == nil {
		r.seen.types[strings.Split(answer.Header.Get("Content-Type"), ";")[0]] = true
	}
	return answer, err
}

func (r *requests) has(words ...string) bool {
	r.Lock()
	defer r.Unlock()
	for _, line := range r.lines {
		found := true
		for _, word := range words {
			found = found && strings.Contains(line, word)
		}
		if found {
			return true
		}
	}
	return false
}

func newLab(kubeconfig, namespace string) (*lab, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = -1, -1
	l := &lab{namespace: namespace, config: config, seen: &requests{types: map[string]bool{}}}
	typed := rest.CopyConfig(config)
	typed.ContentType, typed.AcceptContentTypes = protobuf, protobuf+",application/json"
	typed.Wrap(func(next http.RoundTripper) http.RoundTripper { return recording{next, l.seen} })
	if l.proto, err = kubernetes.NewForConfig(typed); err != nil {
		return nil, err
	}
	l.json, err = kubernetes.NewForConfig(config)
	return l, err
}

func run(l *lab, name string) (err error) {
	check, known := checks[name]
	if !known {
		return fmt.Errorf("no such check")
	}
	defer func() {
		if told := recover(); told != nil {
			err = fmt.Errorf("panic: %v", told)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	l.ctx = ctx
	return check(l)
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "list" {
		names := make([]string, 0, len(checks))
		for name := range checks {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Println(strings.Join(names, "\n"))
		return
	}
	failed := false
	for _, name := range os.Args[3:] {
		l, err := newLab(os.Args[1], os.Args[2])
		if err == nil {
			err = run(l, name)
		}
		if err == nil {
			fmt.Println("ok", name)
			continue
		}
		failed = true
		fmt.Printf("failed %s: %v\n", name, err)
	}
	if failed {
		os.Exit(1)
	}
}

// until asks again and again until what it waits for is true, or the check's time is over.
func (l *lab) until(what string, condition func() (bool, error)) error {
	for {
		found, err := condition()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if found {
			return nil
		}
		select {
		case <-l.ctx.Done():
			return fmt.Errorf("waited in vain until %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// expect is an error that tells both sides, unless they print alike.
func expect(what string, found, wanted any) error {
	if a, b := fmt.Sprintf("%v", found), fmt.Sprintf("%v", wanted); a != b {
		return fmt.Errorf("%s: found %s, not %s", what, a, b)
	}
	return nil
}

// first is the first of errors that is one.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
