package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	watchtools "k8s.io/client-go/tools/watch"
)

func init() {
	checks["informers"] = sharedInformers
	checks["metadata-informer"] = metadataInformer
	checks["leader-election"] = leaderElection
	checks["watches"] = watches
	checks["events"] = recordedEvents
}

// sharedInformers holds three kinds in one factory, as controllers do: each begins with a streamed list.
func sharedInformers(l *lab) error {
	if _, err := l.proto.AppsV1().Deployments(l.namespace).Create(l.ctx, deployment("before", 1), metav1.CreateOptions{}); err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(l.proto, 0, informers.WithNamespace(l.namespace))
	maps, deployments, services := factory.Core().V1().ConfigMaps(), factory.Apps().V1().Deployments(), factory.Core().V1().Services()
	var added, updated, deleted atomic.Int32
	if _, err := maps.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { added.Add(1) },
		UpdateFunc: func(any, any) { updated.Add(1) },
		DeleteFunc: func(any) { deleted.Add(1) },
	}); err != nil {
		return err
	}
	deployments.Informer()
	services.Informer()
	ctx, cancel := context.WithCancel(l.ctx)
	defer factory.Shutdown()
	defer cancel()
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("%v is not synced", kind)
		}
	}
	known := added.Load()
	client := l.proto.CoreV1().ConfigMaps(l.namespace)
	for index := range 20 {
		if _, err := client.Create(l.ctx, configMap(fmt.Sprintf("seen%d", index), nil), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	if err := l.until("all are added", func() (bool, error) { return added.Load() == known+20, nil }); err != nil {
		return err
	}
	one, err := maps.Lister().ConfigMaps(l.namespace).Get("seen3")
	if err != nil {
		return err
	}
	changed := one.DeepCopy()
	changed.Data = map[string]string{"a": "b"}
	if _, err := client.Update(l.ctx, changed, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := client.Delete(l.ctx, "seen4", metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := l.until("the rest is seen", func() (bool, error) { return updated.Load() == 1 && deleted.Load() == 1, nil }); err != nil {
		return err
	}
	held, err := maps.Lister().List(labels.SelectorFromSet(labels.Set{"app": "seen3"}))
	if err != nil {
		return err
	}
	stored, err := deployments.Lister().Deployments(l.namespace).Get("before")
	if err != nil {
		return err
	}
	return first(
		expect("held", held[0].Data, "map[a:b]"),
		expect("kept from before", *stored.Spec.Replicas, 1),
		expect("a streamed list", l.seen.has("GET", "sendInitialEvents=true", "resourceVersionMatch=NotOlderThan", "/configmaps"), true),
		expect("no list beside it", l.seen.has("GET", "/services?limit"), false),
		expect("protobuf", l.seen.types[protobuf+""] || l.seen.types[protobuf+";stream=watch"], true),
	)
}

// metadataInformer holds only the metadata of a kind.
func metadataInformer(l *lab) error {
	client, err := metadata.NewForConfig(l.config)
	if err != nil {
		return err
	}
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	if _, err := l.proto.CoreV1().Pods(l.namespace).Create(l.ctx, pod("light"), metav1.CreateOptions{}); err != nil {
		return err
	}
	factory := metadatainformer.NewFilteredSharedInformerFactory(client, 0, l.namespace, nil)
	lister := factory.ForResource(pods).Lister()
	ctx, cancel := context.WithCancel(l.ctx)
	defer factory.Shutdown()
	defer cancel()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	found, err := lister.ByNamespace(l.namespace).Get("light")
	if err != nil {
		return err
	}
	partial, ok := found.(*metav1.PartialObjectMetadata)
	if !ok {
		return fmt.Errorf("found %T", found)
	}
	listed, err := client.Resource(pods).Namespace(l.namespace).List(l.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	one, err := client.Resource(pods).Namespace(l.namespace).Patch(l.ctx, "light", "application/merge-patch+json", []byte(`{"metadata":{"annotations":{"a":"b"}}}`), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	if err := l.until("the change is seen", func() (bool, error) {
		found, err := lister.ByNamespace(l.namespace).Get("light")
		return err == nil && found.(*metav1.PartialObjectMetadata).Annotations["a"] == "b", err
	}); err != nil {
		return err
	}
	return first(
		expect("labels", partial.Labels, "map[app:light]"),
		expect("listed", len(listed.Items), 1),
		expect("patched", one.Annotations["a"], "b"),
		client.Resource(pods).Namespace(l.namespace).DeleteCollection(l.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
	)
}

// leaderElection lets two stand; the first gives way, and the second leads.
func leaderElection(l *lab) error {
	leads := make(chan string, 4)
	stand := func(ctx context.Context, name string, done *sync.WaitGroup) error {
		config := resourcelock.ResourceLockConfig{Identity: name, EventRecorder: record.NewFakeRecorder(10)}
		lock, err := resourcelock.New(resourcelock.LeasesResourceLock, l.namespace, "leader", l.proto.CoreV1(), l.proto.CoordinationV1(), config)
		if err != nil {
			return err
		}
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond,
			ReleaseOnCancel: true, Name: name,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { leads <- name },
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			return err
		}
		done.Add(1)
		go func() { defer done.Done(); elector.Run(ctx) }()
		return nil
	}
	var one, two sync.WaitGroup
	reign, abdicate := context.WithCancel(l.ctx)
	defer abdicate()
	if err := stand(reign, "one", &one); err != nil {
		return err
	}
	if err := expect("leader", <-leads, "one"); err != nil {
		return err
	}
	waiting, leave := context.WithCancel(l.ctx)
	defer leave()
	if err := stand(waiting, "two", &two); err != nil {
		return err
	}
	abdicate()
	one.Wait()
	if err := expect("next leader", <-leads, "two"); err != nil {
		return err
	}
	lease, err := l.proto.CoordinationV1().Leases(l.namespace).Get(l.ctx, "leader", metav1.GetOptions{})
	if err != nil {
		return err
	}
	leave()
	two.Wait()
	return first(
		expect("holder", *lease.Spec.HolderIdentity, "two"),
		expect("transitions", *lease.Spec.LeaseTransitions >= 1, true),
		expect("microseconds", lease.Spec.RenewTime.Nanosecond()%1000, 0),
	)
}

// watches go on after a cut, begin with what is there, bring bookmarks, and tell of a version that is gone.
func watches(l *lab) error {
	client := l.proto.CoreV1().ConfigMaps(l.namespace)
	list, err := client.List(l.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	lw := cache.NewListWatchFromClient(l.proto.CoreV1().RESTClient(), "configmaps", l.namespace, fields.Everything())
	retrying, err := watchtools.NewRetryWatcherWithContext(l.ctx, list.ResourceVersion, lw)
	if err != nil {
		return err
	}
	defer retrying.Stop()
	for _, name := range []string{"a", "b"} {
		if _, err := client.Create(l.ctx, configMap(name, nil), metav1.CreateOptions{}); err != nil {
			return err
		}
		event := <-retrying.ResultChan()
		if err := expect("event", []any{event.Type, event.Object.(*corev1.ConfigMap).Name}, "[ADDED "+name+"]"); err != nil {
			return err
		}
	}
	synced := func(store cache.Store) (bool, error) { return len(store.List()) > 0, nil }
	if _, err := watchtools.UntilWithSync(l.ctx, lw, &corev1.ConfigMap{}, synced, func(watch.Event) (bool, error) { return true, nil }); err != nil {
		return fmt.Errorf("until with sync: %w", err)
	}
	seconds := int64(1)
	short, err := client.Watch(l.ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion, TimeoutSeconds: &seconds, AllowWatchBookmarks: true})
	if err != nil {
		return err
	}
	last := watch.Event{}
	for event := range short.ResultChan() {
		last = event
	}
	if err := expect("the last event before the end", last.Type, watch.Bookmark); err != nil {
		return err
	}
	old, err := client.Watch(l.ctx, metav1.ListOptions{ResourceVersion: "1"})
	if err != nil {
		return nil // refused at once is a way, too
	}
	defer old.Stop()
	return nil
}

// recordedEvents are written through both APIs of events, and folded when they repeat.
func recordedEvents(l *lab) error {
	subject, err := l.proto.CoreV1().ConfigMaps(l.namespace).Create(l.ctx, configMap("subject", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	old := record.NewBroadcaster(record.WithContext(l.ctx))
	old.StartRecordingToSink(&eventSink{l})
	recorder := old.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "clients"})
	for range 3 {
		recorder.Eventf(subject, corev1.EventTypeNormal, "Thrice", "the same %s", "words")
		time.Sleep(10 * time.Millisecond)
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: l.proto.EventsV1()})
	if err := broadcaster.StartRecordingToSinkWithContext(l.ctx); err != nil {
		return err
	}
	broadcaster.NewRecorder(scheme.Scheme, "clients.example.com/new").Eventf(subject, nil, corev1.EventTypeWarning, "Once", "Trying", "a note")
	count := func(reason string) (int32, error) {
		found, err := l.proto.CoreV1().Events(l.namespace).List(l.ctx, metav1.ListOptions{FieldSelector: "reason=" + reason + ",involvedObject.name=subject"})
		if err != nil || len(found.Items) == 0 {
			return 0, err
		}
		return max(found.Items[0].Count, 1), nil
	}
	if err := l.until("repeated events are one", func() (bool, error) { n, err := count("Thrice"); return n == 3, err }); err != nil {
		return err
	}
	if err := l.until("the new API's event is stored", func() (bool, error) { n, err := count("Once"); return n == 1, err }); err != nil {
		return err
	}
	found, err := l.proto.EventsV1().Events(l.namespace).List(l.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, each := range found.Items {
		if each.Reason == "Once" {
			return first(
				expect("note", each.Note, "a note"), expect("action", each.Action, "Trying"),
				expect("controller", each.ReportingController, "clients.example.com/new"), expect("regarding", each.Regarding.Name, "subject"),
			)
		}
	}
	return fmt.Errorf("events.k8s.io does not have it")
}

type eventSink struct{ l *lab }

func (s *eventSink) Create(event *corev1.Event) (*corev1.Event, error) {
	return s.l.proto.CoreV1().Events(event.Namespace).CreateWithEventNamespaceWithContext(s.l.ctx, event)
}

func (s *eventSink) Update(event *corev1.Event) (*corev1.Event, error) {
	return s.l.proto.CoreV1().Events(event.Namespace).UpdateWithEventNamespaceWithContext(s.l.ctx, event)
}

func (s *eventSink) Patch(event *corev1.Event, data []byte) (*corev1.Event, error) {
	return s.l.proto.CoreV1().Events(event.Namespace).PatchWithEventNamespaceWithContext(s.l.ctx, event, data)
}
