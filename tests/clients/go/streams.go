package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

// What these look at needs pods that run: a whole cluster, not an API server alone.
func init() {
	checks["cluster-exec-websocket"] = func(l *lab) error { return executes(l, webSocket) }
	checks["cluster-exec-spdy"] = func(l *lab) error { return executes(l, overSPDY) }
	checks["cluster-forward-websocket"] = func(l *lab) error { return forwards(l, tunnelled) }
	checks["cluster-forward-spdy"] = func(l *lab) error { return forwards(l, spdyDialer) }
	checks["cluster-logs"] = logs
	checks["cluster-rollout"] = rollout
}

type executor func(config *rest.Config, target *url.URL) (remotecommand.Executor, error)

func webSocket(config *rest.Config, target *url.URL) (remotecommand.Executor, error) {
	return remotecommand.NewWebSocketExecutor(config, "GET", target.String())
}

func overSPDY(config *rest.Config, target *url.URL) (remotecommand.Executor, error) {
	return remotecommand.NewSPDYExecutor(config, "POST", target)
}

// core is a REST client of core/v1 by which the URLs of subresources are made.
func (l *lab) core() *rest.RESTClient {
	return l.json.CoreV1().RESTClient().(*rest.RESTClient)
}

// running makes a pod and waits, as programs do, until its watch says that it is ready.
func (l *lab) running(made *corev1.Pod) error {
	name := made.Name
	if _, err := l.proto.CoreV1().Pods(l.namespace).Create(l.ctx, made, metav1.CreateOptions{}); err != nil {
		return err
	}
	one := fields.OneTermEqualSelector("metadata.name", name)
	lw := cache.NewListWatchFromClient(l.proto.CoreV1().RESTClient(), "pods", l.namespace, one)
	_, err := watchtools.UntilWithSync(l.ctx, lw, &corev1.Pod{}, nil, func(event watch.Event) (bool, error) {
		found, ok := event.Object.(*corev1.Pod)
		if !ok {
			return false, fmt.Errorf("an event of %T", event.Object)
		}
		for _, condition := range found.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
	return err
}

type sizes chan *remotecommand.TerminalSize

func (s sizes) Next() *remotecommand.TerminalSize { return <-s }

func executes(l *lab, how executor) error {
	if err := l.running(pod("box", "sleep", "100000")); err != nil {
		return err
	}
	start := func(options *corev1.PodExecOptions, streams remotecommand.StreamOptions) error {
		request := l.core().Post().Resource("pods").Name("box").Namespace(l.namespace).SubResource("exec")
		executor, err := how(l.config, request.VersionedParams(options, scheme.ParameterCodec).URL())
		if err != nil {
			return err
		}
		return executor.StreamWithContext(l.ctx, streams)
	}
	var out, errors bytes.Buffer
	shell := func(script string) *corev1.PodExecOptions {
		return &corev1.PodExecOptions{Container: "main", Command: []string{"sh", "-c", script}, Stdout: true, Stderr: true}
	}
	ended := start(shell("echo out; echo err >&2; exit 7"), remotecommand.StreamOptions{Stdout: &out, Stderr: &errors})
	code := -1
	if exit, ok := ended.(exec.CodeExitError); ok {
		code = exit.Code
	}
	if err := first(expect("exit code", code, 7), expect("stdout", out.String(), "out\n"), expect("stderr", errors.String(), "err\n")); err != nil {
		return fmt.Errorf("%w (%v)", err, ended)
	}
	out.Reset()
	copying := shell("wc -c")
	copying.Stdin = true
	big := strings.NewReader(strings.Repeat("x", 3_000_000))
	if err := start(copying, remotecommand.StreamOptions{Stdin: big, Stdout: &out, Stderr: &errors}); err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	if err := expect("bytes", strings.TrimSpace(out.String()), 3_000_000); err != nil {
		return err
	}
	out.Reset()
	resized := make(sizes, 1)
	resized <- &remotecommand.TerminalSize{Width: 77, Height: 33}
	terminal := shell("until stty size | grep 33; do sleep 0.05; done")
	terminal.TTY, terminal.Stderr, terminal.Stdin = true, false, true
	reader, writer := io.Pipe()
	defer writer.Close()
	if err := start(terminal, remotecommand.StreamOptions{Stdin: reader, Stdout: &out, Tty: true, TerminalSizeQueue: resized}); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	close(resized)
	missing := start(&corev1.PodExecOptions{Container: "main", Command: []string{"/no/such/program"}, Stdout: true}, remotecommand.StreamOptions{Stdout: &out})
	return first(
		expect("size", strings.Contains(out.String(), "33 77"), true),
		expect("a program that is not there", missing != nil, true),
	)
}

type dialing func(l *lab, target *url.URL) (*portforward.PortForwarder, error)

var anyPort = []string{"0:8000"}

func tunnelled(l *lab, target *url.URL) (*portforward.PortForwarder, error) {
	dialer, err := portforward.NewSPDYOverWebsocketDialer(target, l.config)
	if err != nil {
		return nil, err
	}
	return portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, anyPort, make(chan struct{}), make(chan struct{}), io.Discard, io.Discard)
}

func spdyDialer(l *lab, target *url.URL) (*portforward.PortForwarder, error) {
	transport, upgrader, err := spdy.RoundTripperFor(l.config)
	if err != nil {
		return nil, err
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", target)
	return portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, anyPort, make(chan struct{}), make(chan struct{}), io.Discard, io.Discard)
}

func forwards(l *lab, how dialing) error {
	web := pod("web", "python3", "-c", strings.Join([]string{
		"import http.server", "class H(http.server.BaseHTTPRequestHandler):", " protocol_version='HTTP/1.1'",
		" def do_GET(self):", "  body=b'x'*int(self.path[1:])", "  self.send_response(200)",
		"  self.send_header('Content-Length',str(len(body)))", "  self.end_headers()", "  self.wfile.write(body)",
		"http.server.ThreadingHTTPServer(('',8000),H).serve_forever()",
	}, "\n"))
	listens := corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("http")}}
	web.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: listens, PeriodSeconds: 1}
	if err := l.running(web); err != nil {
		return err
	}
	target := l.core().Post().Resource("pods").Name("web").Namespace(l.namespace).SubResource("portforward").URL()
	forwarder, err := how(l, target)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-forwarder.Ready:
	case err := <-ended:
		return fmt.Errorf("forwarding ended: %w", err)
	}
	defer forwarder.Close()
	ports, err := forwarder.GetPorts()
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 10 * time.Second}
	sizes := []int{1, 100_000, 2_000_000}
	for _, size := range sizes {
		answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/%d", ports[0].Local, size))
		if err != nil {
			return err
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err := first(err, expect("bytes", len(body), size)); err != nil {
			return err
		}
	}
	proxied, err := l.json.CoreV1().Pods(l.namespace).ProxyGet("http", "web", "8000", "12", nil).DoRaw(l.ctx)
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	return expect("through the API server's proxy", len(proxied), 12)
}

// logs are followed line by line until the container ends.
func logs(l *lab) error {
	if err := l.running(pod("talks", "sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.2; done; sleep 100000")); err != nil {
		return err
	}
	lines := int64(3)
	stream, err := l.proto.CoreV1().Pods(l.namespace).GetLogs("talks", &corev1.PodLogOptions{Follow: true, TailLines: &lines, Timestamps: true}).Stream(l.ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	scanner := bufio.NewScanner(stream)
	last := ""
	for !strings.HasSuffix(last, "line 3") && scanner.Scan() {
		last = scanner.Text()
	}
	stamp, _, _ := strings.Cut(last, " ")
	_, err = time.Parse(time.RFC3339Nano, stamp)
	_, absent := l.proto.CoreV1().Pods(l.namespace).GetLogs("talks", &corev1.PodLogOptions{Container: "other"}).Stream(l.ctx)
	return first(err, expect("the last line", strings.HasSuffix(last, "line 3"), true),
		expect("no such container", absent, "container other is not valid for pod talks"))
}

// rollout waits for a Deployment, changes it, and waits until the controller has caught up.
func rollout(l *lab) error {
	client := l.proto.AppsV1().Deployments(l.namespace)
	if _, err := client.Create(l.ctx, deployment("rolls", 2), metav1.CreateOptions{}); err != nil {
		return err
	}
	done := func(d *appsv1.Deployment) bool {
		return d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == *d.Spec.Replicas &&
			d.Status.AvailableReplicas == *d.Spec.Replicas && d.Status.Replicas == *d.Spec.Replicas
	}
	wait := func() error {
		return l.until("it has rolled out", func() (bool, error) {
			found, err := client.Get(l.ctx, "rolls", metav1.GetOptions{})
			return err == nil && done(found), err
		})
	}
	if err := wait(); err != nil {
		return err
	}
	found, err := client.Get(l.ctx, "rolls", metav1.GetOptions{})
	if err != nil {
		return err
	}
	found.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}}
	if _, err := client.Update(l.ctx, found, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := wait(); err != nil {
		return err
	}
	sets, err := l.proto.AppsV1().ReplicaSets(l.namespace).List(l.ctx, metav1.ListOptions{LabelSelector: "app=rolls"})
	if err != nil {
		return err
	}
	foreground := metav1.DeletePropagationForeground
	if err := client.Delete(l.ctx, "rolls", metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
		return err
	}
	if err := l.until("all of it is gone", func() (bool, error) {
		pods, err := l.proto.CoreV1().Pods(l.namespace).List(l.ctx, metav1.ListOptions{LabelSelector: "app=rolls"})
		if err != nil {
			return false, err
		}
		_, gone := client.Get(l.ctx, "rolls", metav1.GetOptions{})
		return len(pods.Items) == 0 && gone != nil, nil
	}); err != nil {
		return err
	}
	return expect("replica sets", len(sets.Items), 2)
}
