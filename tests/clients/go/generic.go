package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applyapps "k8s.io/client-go/applyconfigurations/apps/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	applymeta "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/openapi3"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/pager"
)

func init() {
	checks["server-side-apply"] = serverSideApply
	checks["dynamic"] = dynamicClient
	checks["discovery"] = discovered
	checks["pages"] = pages
	checks["polymorphic-scale"] = polymorphicScale
}

func restClient(config *rest.Config) (kubernetes.Interface, error) {
	return kubernetes.NewForConfig(config)
}

// serverSideApply uses apply configurations: two managers, a conflict, force, giving a field up, extracting what one owns.
func serverSideApply(l *lab) error {
	client := l.proto.AppsV1().Deployments(l.namespace)
	labels := map[string]string{"app": "applied"}
	wanted := func(replicas int32) *applyapps.DeploymentApplyConfiguration {
		container := applycore.Container().WithName("main").WithImage("debian").WithCommand("sleep", "1").
			WithPorts(applycore.ContainerPort().WithContainerPort(80))
		return applyapps.Deployment("applied", l.namespace).WithLabels(labels).WithSpec(applyapps.DeploymentSpec().
			WithReplicas(replicas).WithSelector(applymeta.LabelSelector().WithMatchLabels(labels)).
			WithTemplate(applycore.PodTemplateSpec().WithLabels(labels).WithSpec(applycore.PodSpec().WithContainers(container))))
	}
	one := metav1.ApplyOptions{FieldManager: "one"}
	if _, err := client.Apply(l.ctx, wanted(2), one); err != nil {
		return err
	}
	again, err := client.Apply(l.ctx, wanted(2), one)
	if err != nil {
		return err
	}
	other := applyapps.Deployment("applied", l.namespace).WithSpec(applyapps.DeploymentSpec().WithReplicas(5))
	_, conflict := client.Apply(l.ctx, other, metav1.ApplyOptions{FieldManager: "two"})
	if !apierrors.IsConflict(conflict) {
		return fmt.Errorf("no conflict but %v", conflict)
	}
	cause := conflict.(apierrors.APIStatus).Status().Details.Causes[0]
	forced, err := client.Apply(l.ctx, other, metav1.ApplyOptions{FieldManager: "two", Force: true})
	if err != nil {
		return err
	}
	mine, err := applyapps.ExtractDeployment(forced, "one")
	if err != nil {
		return err
	}
	theirs, err := applyapps.ExtractDeployment(forced, "two")
	if err != nil {
		return err
	}
	mine.WithAnnotations(map[string]string{"a": "b"})
	kept, err := client.Apply(l.ctx, mine, one)
	if err != nil {
		return err
	}
	status := applyapps.Deployment("applied", l.namespace).WithStatus(applyapps.DeploymentStatus().WithReplicas(5))
	told, err := client.ApplyStatus(l.ctx, status, metav1.ApplyOptions{FieldManager: "controller", Force: true})
	if err != nil {
		return err
	}
	found, err := applyapps.ExtractDeploymentStatus(told, "controller")
	if err != nil {
		return err
	}
	managers := []string{}
	for _, each := range told.ManagedFields {
		if each.Manager != "kube-controller-manager" {
			managers = append(managers, each.Manager+":"+each.Subresource)
		}
	}
	slices.Sort(managers) // by their seconds, first
	return first(
		expect("generation after the same again", again.Generation, 1),
		expect("cause", []any{cause.Type, cause.Field}, "[FieldManagerConflict .spec.replicas]"),
		expect("message", cause.Message, `conflict with "one"`),
		expect("forced", *forced.Spec.Replicas, 5),
		expect("not one's any more", mine.Spec.Replicas == nil, true),
		expect("one's", *mine.Spec.Template.Spec.Containers[0].Image, "debian"),
		expect("two's", *theirs.Spec.Replicas, 5),
		expect("two has no template", theirs.Spec.Template == nil, true),
		expect("kept", []any{*kept.Spec.Replicas, kept.Annotations["a"]}, "[5 b]"),
		expect("status", *found.Status.Replicas, 5),
		expect("managers", managers, "[controller:status one: two:]"),
	)
}

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// dynamicClient defines a kind and uses its objects without types; the namespace makes the group a check's own.
func dynamicClient(l *lab) error {
	client, err := dynamic.NewForConfig(l.config)
	if err != nil {
		return err
	}
	group := l.namespace + ".example.com"
	definition := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "boxes." + group},
		"spec": map[string]any{
			"group": group, "scope": "Namespaced", "names": map[string]any{"plural": "boxes", "kind": "Box", "shortNames": []any{"bx"}},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"subresources": map[string]any{"status": map[string]any{}, "scale": map[string]any{
					"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size",
				}},
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "properties": map[string]any{
					"spec":   map[string]any{"type": "object", "properties": map[string]any{"size": map[string]any{"type": "integer", "default": int64(1)}}},
					"status": map[string]any{"type": "object", "properties": map[string]any{"size": map[string]any{"type": "integer"}}},
				}}},
			}},
		},
	}}
	if _, err := client.Resource(definitions).Create(l.ctx, definition, metav1.CreateOptions{}); err != nil {
		return err
	}
	defer client.Resource(definitions).Delete(context.WithoutCancel(l.ctx), "boxes."+group, metav1.DeleteOptions{})
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(l.json.Discovery()))
	var mapping *apimeta.RESTMapping
	if waited := l.until("the kind is mapped", func() (bool, error) {
		mapper.Reset()
		mapping, err = mapper.RESTMapping(schema.GroupKind{Group: group, Kind: "Box"}, "v1")
		return err == nil, nil
	}); waited != nil {
		return fmt.Errorf("%w: %w", waited, err)
	}
	boxes := client.Resource(mapping.Resource).Namespace(l.namespace)
	box := func(spec map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": group + "/v1", "kind": "Box", "metadata": map[string]any{"name": "one"}, "spec": spec,
		}}
	}
	var made *unstructured.Unstructured
	if err := l.until("the kind is served", func() (bool, error) {
		made, err = boxes.Create(l.ctx, box(map[string]any{}), metav1.CreateOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	}); err != nil {
		return err
	}
	size, _, _ := unstructured.NestedInt64(made.Object, "spec", "size")
	strict, strictErr := boxes.Patch(l.ctx, "one", types.MergePatchType, []byte(`{"spec":{"colour":"red"}}`), metav1.PatchOptions{FieldValidation: "Strict"})
	if strictErr == nil {
		return fmt.Errorf("an unknown field is accepted: %v", strict)
	}
	applied, err := boxes.Apply(l.ctx, "one", box(map[string]any{"size": int64(3)}), metav1.ApplyOptions{FieldManager: "dynamic", Force: true})
	if err != nil {
		return err
	}
	_ = unstructured.SetNestedField(applied.Object, int64(3), "status", "size")
	applied.SetManagedFields(nil)
	written, err := boxes.UpdateStatus(l.ctx, applied, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	watching, err := boxes.Watch(l.ctx, metav1.ListOptions{ResourceVersion: written.GetResourceVersion()})
	if err != nil {
		return err
	}
	defer watching.Stop()
	if err := boxes.Delete(l.ctx, "one", metav1.DeleteOptions{}); err != nil {
		return err
	}
	event := <-watching.ResultChan()
	known, _, _ := unstructured.NestedInt64(written.Object, "status", "size")
	return first(
		expect("default", size, 1),
		expect("strict", apierrors.IsInvalid(strictErr) && strings.HasSuffix(strictErr.Error(), `}}": strict decoding error: unknown field "spec.colour"`), true),
		expect("status", known, 3),
		expect("event", event.Type, "DELETED"),
	)
}

// discovered reads what the server serves in every way there is.
func discovered(l *lab) error {
	client := l.proto.Discovery()
	version, err := client.ServerVersion()
	if err != nil {
		return err
	}
	preferred, err := discovery.ServerPreferredResources(client)
	if err != nil {
		return err
	}
	count := 0
	for _, list := range preferred {
		count += len(list.APIResources)
	}
	cached := memory.NewMemCacheClient(client)
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
	found := []string{}
	for _, short := range []string{"po", "deploy", "ing", "sc", "hpa", "crd", "cm", "netpol"} {
		resource, err := mapper.ResourceFor(schema.GroupVersionResource{Resource: short})
		if err != nil {
			return fmt.Errorf("%s: %w", short, err)
		}
		found = append(found, resource.Resource)
	}
	groups, err := restmapper.GetAPIGroupResources(client)
	if err != nil {
		return err
	}
	legacy, err := discovery.NewDiscoveryClientForConfig(l.config)
	if err != nil {
		return err
	}
	legacy.UseLegacyDiscovery = true
	old, err := restmapper.GetAPIGroupResources(legacy)
	if err != nil {
		return err
	}
	document, err := legacy.OpenAPISchema()
	if err != nil {
		return fmt.Errorf("OpenAPI v2 in protobuf: %w", err)
	}
	root := openapi3.NewRoot(l.json.Discovery().OpenAPIV3())
	versions, err := root.GroupVersions()
	if err != nil {
		return err
	}
	spec, err := root.GVSpec(schema.GroupVersion{Group: "apps", Version: "v1"})
	if err != nil {
		return err
	}
	return first(
		expect("minor version", version.Major+"."+version.Minor, "1.36"),
		expect("many resources", count > 50, true),
		expect("aggregated discovery", l.seen.has("GET", "/apis") && !l.seen.has("GET", "/apis/apps/v1"), true),
		expect("short names", found, "[pods deployments ingresses storageclasses horizontalpodautoscalers customresourcedefinitions configmaps networkpolicies]"),
		expect("groups both ways", len(groups), len(old)),
		expect("definitions", len(document.GetDefinitions().GetAdditionalProperties()) > 500, true),
		expect("group versions", len(versions) > 20, true),
		expect("schemas", spec.Components.Schemas["io.k8s.api.apps.v1.Deployment"] != nil, true),
	)
}

// pages come in parts, and whole when the continuation is too old or refused.
func pages(l *lab) error {
	client := l.proto.CoreV1().ConfigMaps(l.namespace)
	for index := range 25 {
		one := configMap(fmt.Sprintf("page%02d", index), nil)
		one.Labels = map[string]string{"paged": "yes"}
		if _, err := client.Create(l.ctx, one, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	names, turns := []string{}, 0
	reader := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		turns++
		if turns == 3 { // the list stays that of its first page
			if err := client.Delete(ctx, "page24", metav1.DeleteOptions{}); err != nil {
				return nil, err
			}
		}
		return client.List(ctx, options)
	})
	reader.PageSize = 4
	if err := reader.EachListItem(l.ctx, metav1.ListOptions{LabelSelector: "paged=yes"}, func(each runtime.Object) error {
		found, err := apimeta.Accessor(each)
		names = append(names, found.GetName())
		return err
	}); err != nil {
		return err
	}
	page, err := client.List(l.ctx, metav1.ListOptions{Limit: 4})
	if err != nil {
		return err
	}
	cached, err := client.List(l.ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	exact, err := client.List(l.ctx, metav1.ListOptions{ResourceVersion: page.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if err != nil {
		return err
	}
	return first(
		expect("items", len(names), 25),
		expect("last", names[24], "page24"),
		expect("requests", turns, 7),
		expect("remaining", int(*page.RemainingItemCount), len(exact.Items)-4),
		expect("from the cache", len(cached.Items), len(exact.Items)),
	)
}

// polymorphicScale scales kinds it has no types for, as autoscalers do.
func polymorphicScale(l *lab) error {
	if _, err := l.proto.AppsV1().Deployments(l.namespace).Create(l.ctx, deployment("scaled", 0), metav1.CreateOptions{}); err != nil {
		return err
	}
	cached := memory.NewMemCacheClient(l.json.Discovery())
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(cached)
	client, err := scale.NewForConfig(l.config, mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(cached))
	if err != nil {
		return err
	}
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	found, err := client.Scales(l.namespace).Get(l.ctx, deployments, "scaled", metav1.GetOptions{})
	if err != nil {
		return err
	}
	found.Spec.Replicas, found.ResourceVersion = 3, "" // its controller may have written its status
	if _, err := client.Scales(l.namespace).Update(l.ctx, deployments, found, metav1.UpdateOptions{}); err != nil {
		return err
	}
	patched, err := client.Scales(l.namespace).Patch(l.ctx, deployments.WithVersion("v1"), "scaled", types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	stored, err := l.proto.AppsV1().Deployments(l.namespace).Get(l.ctx, "scaled", metav1.GetOptions{})
	if err != nil {
		return err
	}
	return first(
		expect("selector", found.Status.Selector, "app=scaled"),
		expect("patched", patched.Spec.Replicas, 0),
		expect("generation", stored.Generation >= 3, true),
	)
}
