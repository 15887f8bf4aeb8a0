package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
)

func init() {
	checks["typed-life"] = typedLife
	checks["protobuf-equals-json"] = protobufEqualsJSON
	checks["errors"] = errorsAreTyped
	checks["conflicts-are-retried"] = conflictsAreRetried
	checks["subresources"] = subresources
	checks["warnings"] = warnings
}

// typedLife is the life of objects through the typed clients in protobuf, from their creation to their end.
func typedLife(l *lab) error {
	deployments := l.proto.AppsV1().Deployments(l.namespace)
	made, err := deployments.Create(l.ctx, deployment("life", 2), metav1.CreateOptions{FieldManager: "clients"})
	if err != nil {
		return err
	}
	if err := first(
		expect("strategy", made.Spec.Strategy.Type, "RollingUpdate"),
		expect("maxSurge", made.Spec.Strategy.RollingUpdate.MaxSurge.String(), "25%"),
		expect("history", *made.Spec.RevisionHistoryLimit, 10),
		expect("generation", made.Generation, 1),
		expect("manager", made.ManagedFields[0].Manager, "clients"),
		expect("requests", made.Spec.Template.Spec.Containers[0].Resources.Requests.Cpu().String(), "10m"),
	); err != nil {
		return err
	}
	made.Spec.Paused, made.ResourceVersion = true, "" // its controller may have written its status
	changed, err := deployments.Update(l.ctx, made, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	patch := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"A","value":"b"}]}]}}}}`)
	patched, err := deployments.Patch(l.ctx, "life", types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return err
	}
	scale, err := deployments.GetScale(l.ctx, "life", metav1.GetOptions{})
	if err != nil {
		return err
	}
	scale.Spec.Replicas, scale.ResourceVersion = 0, ""
	scaled, err := deployments.UpdateScale(l.ctx, "life", scale, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	dry, err := deployments.Create(l.ctx, deployment("dry", 1), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	_, err = deployments.Get(l.ctx, "dry", metav1.GetOptions{})
	listed, listErr := deployments.List(l.ctx, metav1.ListOptions{LabelSelector: "app in (life)", FieldSelector: "metadata.name=life"})
	if listErr != nil {
		return listErr
	}
	if err := first(
		expect("generation", changed.Generation, 2),
		expect("containers", len(patched.Spec.Template.Spec.Containers), 1),
		expect("env", patched.Spec.Template.Spec.Containers[0].Env, "[{A b nil}]"),
		expect("scale", scaled.Spec.Replicas, 0),
		expect("dry run has a uid", dry.UID != "", true),
		expect("dry run is not stored", apierrors.IsNotFound(err), true),
		expect("listed", len(listed.Items), 1),
		expect("replicas", *listed.Items[0].Spec.Replicas, 0),
	); err != nil {
		return err
	}
	for index := range 3 {
		name := fmt.Sprintf("many%d", index)
		one := configMap(name, map[string]string{"a": "b"})
		one.BinaryData, one.Labels = map[string][]byte{"bytes": {0, 255}}, map[string]string{"many": "yes"}
		if _, err := l.proto.CoreV1().ConfigMaps(l.namespace).Create(l.ctx, one, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	many := metav1.ListOptions{LabelSelector: "many=yes"}
	found, err := l.proto.CoreV1().ConfigMaps(l.namespace).List(l.ctx, many)
	if err != nil {
		return err
	}
	if err := expect("binary data", found.Items[2].BinaryData["bytes"], []byte{0, 255}); err != nil {
		return err
	}
	wrong := types.UID("wrong")
	precondition := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &wrong}}
	conflict := l.proto.CoreV1().ConfigMaps(l.namespace).Delete(l.ctx, "many0", precondition)
	if err := l.proto.CoreV1().ConfigMaps(l.namespace).DeleteCollection(l.ctx, metav1.DeleteOptions{}, many); err != nil {
		return err
	}
	left, err := l.proto.CoreV1().ConfigMaps(l.namespace).List(l.ctx, many)
	if err != nil {
		return err
	}
	foreground := metav1.DeletePropagationForeground
	return first(
		expect("precondition", apierrors.IsConflict(conflict), true),
		expect("left", len(left.Items), 0),
		expect("protobuf", l.seen.types[protobuf], true),
		deployments.Delete(l.ctx, "life", metav1.DeleteOptions{PropagationPolicy: &foreground}),
	)
}

// protobufEqualsJSON reads every list of every built-in resource in both encodings: the same objects must come.
func protobufEqualsJSON(l *lab) error {
	if _, err := l.json.CoreV1().Services(l.namespace).Create(l.ctx, service("both"), metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := l.json.CoreV1().Pods(l.namespace).Create(l.ctx, pod("both", "sleep", "1"), metav1.CreateOptions{}); err != nil {
		return err
	}
	_, lists, err := l.proto.Discovery().ServerGroupsAndResources()
	if err != nil {
		return err
	}
	read, objects := 0, 0
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return err
		}
		for _, each := range list.APIResources {
			kind := version.WithKind(each.Kind + "List")
			if strings.Contains(each.Name, "/") || !strings.Contains(each.Verbs.String(), "list") || !scheme.Scheme.Recognizes(kind) {
				continue
			}
			count, err := l.sameInBoth(version, each.Name, kind)
			if err != nil {
				return fmt.Errorf("%s %s: %w", version, each.Name, err)
			}
			read, objects = read+1, objects+count
		}
	}
	if read < 50 || objects < 80 {
		return fmt.Errorf("only %d lists and %d objects were read", read, objects)
	}
	return nil
}

func (l *lab) sameInBoth(version schema.GroupVersion, plural string, kind schema.GroupVersionKind) (int, error) {
	var found [2]runtime.Object
	for turn := 0; ; turn++ {
		for index, media := range []string{protobuf, "application/json"} {
			config := rest.CopyConfig(l.config)
			config.GroupVersion, config.APIPath = &version, "/apis"
			if version.Group == "" {
				config.APIPath = "/api"
			}
			config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
			config.ContentType, config.AcceptContentTypes = media, media
			client, err := rest.RESTClientFor(config)
			if err != nil {
				return 0, err
			}
			if found[index], err = scheme.Scheme.New(kind); err != nil {
				return 0, err
			}
			if err := client.Get().Resource(plural).Do(l.ctx).Into(found[index]); err != nil {
				return 0, fmt.Errorf("%s: %w", media, err)
			}
		}
		if revision(found[0]) == revision(found[1]) || turn == 20 {
			break
		}
	}
	if !apiequality.Semantic.DeepEqual(found[0], found[1]) {
		return 0, fmt.Errorf("protobuf has\n%s\nand JSON\n%s", dump(found[0]), dump(found[1]))
	}
	return apimeta.LenList(found[0]), nil
}

// dump is an object as JSON: what its String method leaves out, too.
func dump(object runtime.Object) string {
	text, _ := json.Marshal(object)
	return string(text)
}

func revision(list runtime.Object) string {
	found, _ := apimeta.ListAccessor(list)
	return found.GetResourceVersion()
}

// errorsAreTyped asks for what is refused: client-go's predicates and the causes must tell why.
func errorsAreTyped(l *lab) error {
	maps := l.proto.CoreV1().ConfigMaps(l.namespace)
	if _, err := maps.Create(l.ctx, configMap("one", nil), metav1.CreateOptions{}); err != nil {
		return err
	}
	_, exists := maps.Create(l.ctx, configMap("one", nil), metav1.CreateOptions{})
	_, absent := maps.Get(l.ctx, "none", metav1.GetOptions{})
	stale := configMap("one", nil)
	stale.ResourceVersion = "1"
	_, conflict := maps.Update(l.ctx, stale, metav1.UpdateOptions{})
	bad := pod("bad")
	bad.Spec.Containers[0].Name, bad.Spec.RestartPolicy = "Not A Name", "Sometimes"
	_, invalid := l.proto.CoreV1().Pods(l.namespace).Create(l.ctx, bad, metav1.CreateOptions{})
	_, expired := maps.List(l.ctx, metav1.ListOptions{Limit: 1, Continue: "bm9uc2Vuc2U"})
	_, elsewhere := l.proto.CoreV1().Pods("nowhere").Create(l.ctx, pod("x"), metav1.CreateOptions{})
	other := rest.CopyConfig(l.config)
	other.Impersonate.UserName = "nobody"
	client, err := restClient(other)
	if err != nil {
		return err
	}
	_, forbidden := client.CoreV1().Secrets("kube-system").List(l.ctx, metav1.ListOptions{})
	future, timedOut := maps.List(l.ctx, metav1.ListOptions{ResourceVersion: "1000000000", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	if timedOut == nil {
		return fmt.Errorf("a list of the future was answered: %v", future.ResourceVersion)
	}
	causes := []string{}
	var told apierrors.APIStatus
	if status, ok := invalid.(apierrors.APIStatus); ok {
		told = status
		for _, cause := range told.Status().Details.Causes {
			causes = append(causes, cause.Field)
		}
	}
	return first(
		expect("already there", apierrors.IsAlreadyExists(exists), true),
		expect("not there", apierrors.IsNotFound(absent), true),
		expect("its name", absent, `configmaps "none" not found`),
		expect("conflict", apierrors.IsConflict(conflict), true),
		expect("invalid", apierrors.IsInvalid(invalid), true),
		expect("causes", causes, "[spec.containers[0].name spec.restartPolicy]"),
		expect("a bad token", apierrors.IsBadRequest(expired), true),
		expect("no namespace", apierrors.IsNotFound(elsewhere), true),
		expect("forbidden", apierrors.IsForbidden(forbidden), true),
		expect("too large a version", apierrors.IsTimeout(timedOut) && apierrors.HasStatusCause(timedOut, metav1.CauseTypeResourceVersionTooLarge), true),
	)
}

// conflictsAreRetried counts with many writers at once, each of which reads and writes again when it was too late.
func conflictsAreRetried(l *lab) error {
	maps := l.proto.CoreV1().ConfigMaps(l.namespace)
	if _, err := maps.Create(l.ctx, configMap("count", map[string]string{"n": ""}), metav1.CreateOptions{}); err != nil {
		return err
	}
	backoff := retry.DefaultBackoff
	backoff.Steps = 100
	var writers sync.WaitGroup
	failures := make(chan error, 8)
	for range 8 {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for range 5 {
				err := retry.RetryOnConflict(backoff, func() error {
					found, err := maps.Get(l.ctx, "count", metav1.GetOptions{})
					if err != nil {
						return err
					}
					found.Data["n"] += "x"
					_, err = maps.Update(l.ctx, found, metav1.UpdateOptions{})
					return err
				})
				if err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	writers.Wait()
	close(failures)
	if err := <-failures; err != nil {
		return err
	}
	found, err := maps.Get(l.ctx, "count", metav1.GetOptions{})
	if err != nil {
		return err
	}
	return expect("counted", len(found.Data["n"]), 40)
}

// subresources are written as schedulers, kubelets, drains and webhooks do.
func subresources(l *lab) error {
	pods := l.proto.CoreV1().Pods(l.namespace)
	loose := pod("loose", "sleep", "100000")
	loose.Spec.NodeName, loose.Spec.SchedulerName = "", "nobody"
	if _, err := pods.Create(l.ctx, loose, metav1.CreateOptions{}); err != nil {
		return err
	}
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "loose"}, Target: corev1.ObjectReference{Kind: "Node", Name: "elsewhere"}}
	if err := pods.Bind(l.ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	again := pods.Bind(l.ctx, binding, metav1.CreateOptions{})
	bound, err := pods.Get(l.ctx, "loose", metav1.GetOptions{})
	if err != nil {
		return err
	}
	bound.Status.Phase = corev1.PodRunning
	bound.Status.Conditions = append(bound.Status.Conditions, corev1.PodCondition{Type: "Ready", Status: "True"})
	status, err := pods.UpdateStatus(l.ctx, bound, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	status.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "busybox"}}}
	debugged, err := pods.UpdateEphemeralContainers(l.ctx, "loose", status, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("ephemeral containers: %w", err)
	}
	debugged.Spec.Containers[0].Resources.Requests["cpu"] = resource.MustParse("20m")
	resized, err := pods.UpdateResize(l.ctx, "loose", debugged, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("resize: %w", err)
	}
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "loose", Namespace: l.namespace}}
	evicted := l.proto.PolicyV1().Evictions(l.namespace).Evict(l.ctx, eviction)
	seconds := int64(600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	token, err := l.proto.CoreV1().ServiceAccounts(l.namespace).CreateToken(l.ctx, "default", request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	review, err := l.proto.AuthenticationV1().TokenReviews().Create(l.ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.Status.Token}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("token review: %w", err)
	}
	access := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: l.namespace, Verb: "delete", Resource: "pods"},
	}}
	may, err := l.proto.AuthorizationV1().SelfSubjectAccessReviews().Create(l.ctx, access, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("access review: %w", err)
	}
	job := &batchv1.Job{ObjectMeta: meta("status"), Spec: batchv1.JobSpec{Template: template("status", "debian", "true")}}
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	suspended := true
	job.Spec.Suspend = &suspended
	stored, err := l.proto.BatchV1().Jobs(l.namespace).Create(l.ctx, job, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	return first(
		expect("bound", bound.Spec.NodeName, "elsewhere"),
		expect("bound once", apierrors.IsConflict(again), true),
		expect("phase", status.Status.Phase, "Running"),
		expect("debug", debugged.Spec.EphemeralContainers[0].Name, "debug"),
		expect("resized", resized.Spec.Containers[0].Resources.Requests.Cpu().String(), "20m"),
		expect("evicted", evicted, nil),
		expect("authenticated", review.Status.Authenticated, true),
		expect("account", review.Status.User.Username, "system:serviceaccount:"+l.namespace+":default"),
		expect("allowed", may.Status.Allowed, true),
		expect("completion mode", *stored.Spec.CompletionMode, "NonIndexed"),
	)
}

type heard struct {
	sync.Mutex
	texts []string
}

func (h *heard) HandleWarningHeader(code int, agent string, text string) {
	h.Lock()
	defer h.Unlock()
	h.texts = append(h.texts, text)
}

// warnings come to the handler that a program has set.
func warnings(l *lab) error {
	config, listener := rest.CopyConfig(l.config), &heard{}
	config.WarningHandler = listener
	client, err := restClient(config)
	if err != nil {
		return err
	}
	twice := pod("twice")
	twice.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}}
	if _, err := client.CoreV1().Pods(l.namespace).Create(l.ctx, twice, metav1.CreateOptions{}); err != nil {
		return err
	}
	if !strings.Contains(strings.Join(listener.texts, "\n"), `spec.containers[0].env[1]: hides previous definition of "A"`) {
		return fmt.Errorf("heard %q", listener.texts)
	}
	return nil
}
