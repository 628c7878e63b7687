// The four resources' lives, and a read of everything around them, through authentik's own Go client: the one that its
// Terraform provider is made of. The name of a subtest is its group of operations.
package clients

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	api "goauthentik.io/api/v3"
)

var (
	client   = newClient()
	stages   = client.StagesAPI
	flows    = client.FlowsAPI
	core     = client.CoreAPI
	admin    = as(os.Getenv("TOKEN"))
	plain    = as(os.Getenv("PLAIN_TOKEN"))
	stranger = as("no-such-token")
)

func newClient() *api.APIClient {
	configuration := api.NewConfiguration()
	configuration.Servers = api.ServerConfigurations{{URL: os.Getenv("BASE") + "/api/v3"}}
	return api.NewAPIClient(configuration)
}

func as(token string) context.Context {
	return context.WithValue(context.Background(), api.ContextAccessToken, token)
}

func unique() string {
	bytes := make([]byte, 12)
	rand.Read(bytes)
	return fmt.Sprintf("t%x", bytes)
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("\ngot  %+v\nwant %+v", got, want)
	}
}

// done passes on what a call answers, and ends the test if that is an error.
func done[T any](t *testing.T) func(T, *http.Response, error) T {
	return func(value T, _ *http.Response, err error) T {
		t.Helper()
		var answer *api.GenericOpenAPIError
		if errors.As(err, &answer) {
			t.Fatalf("%v: %s", err, answer.Body())
		} else if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// refused demands an error of this status, with this body.
func refused(t *testing.T, status int, body string) func(any, *http.Response, error) {
	return func(value any, response *http.Response, err error) {
		t.Helper()
		var answer *api.GenericOpenAPIError
		if !errors.As(err, &answer) {
			t.Fatalf("an answer other than an error: %+v, %v", value, err)
		}
		equal(t, response.StatusCode, status)
		equal(t, strings.TrimSpace(string(answer.Body())), body)
	}
}

// execute calls an operation on stages by name. The client has a type of its own for every operation, and nothing that
// they share.
func execute(ctx context.Context, operation string, path []string, parameters map[string]any) (any, *http.Response, error) {
	arguments := []reflect.Value{reflect.ValueOf(ctx)}
	for _, argument := range path {
		arguments = append(arguments, reflect.ValueOf(argument))
	}
	request := reflect.ValueOf(stages).MethodByName(operation).Call(arguments)[0]
	for name, value := range parameters {
		request = request.MethodByName(name).Call([]reflect.Value{reflect.ValueOf(value)})[0]
	}
	results := request.MethodByName("Execute").Call(nil) // a value, unless it is a deletion; the response; an error
	last := len(results) - 1
	response, _ := results[last-1].Interface().(*http.Response)
	err, _ := results[last].Interface().(error)
	return results[0].Interface(), response, err
}

// fields is an object or a request as JSON has it.
func fields(t *testing.T, object any) (fields map[string]any) {
	t.Helper()
	text, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

func holds(t *testing.T, object any, expected map[string]any) {
	t.Helper()
	got := fields(t, object)
	for name, value := range expected {
		if !reflect.DeepEqual(got[name], value) {
			t.Fatalf("%s: got %v, want %v", name, got[name], value)
		}
	}
}

type resource struct {
	group, operations, model string
	sent, change             any // requests, but for the name
	back                     any // a patch that undoes the change
}

// request is the parameter that a create or an update takes.
func (r resource) request(fields any, name string) map[string]any {
	request := reflect.New(reflect.TypeOf(fields)).Elem()
	request.Set(reflect.ValueOf(fields))
	request.FieldByName("Name").SetString(name)
	return map[string]any{r.model + "Request": request.Interface()}
}

func (r resource) life(t *testing.T) {
	call := func(ctx context.Context, operation string, parameters map[string]any, path ...string) (any, *http.Response, error) {
		return execute(ctx, r.operations+operation, path, parameters)
	}
	done := done[any](t)
	name := unique()

	request := r.request(r.sent, name)
	created := done(call(admin, "Create", request))
	expected := fields(t, created)
	holds(t, created, fields(t, request[r.model+"Request"]))
	pk := expected["pk"].(string)
	equal(t, done(call(admin, "Retrieve", nil, pk)), created)

	// PUT keeps what it doesn't name.
	change := r.request(r.change, name)
	updated := done(call(admin, "Update", change, pk))
	for name, value := range fields(t, change[r.model+"Request"]) {
		expected[name] = value
	}
	equal(t, fields(t, updated), expected)
	back := map[string]any{"Patched" + r.model + "Request": r.back}
	equal(t, done(call(admin, "PartialUpdate", back, pk)), created)

	second := fields(t, done(call(admin, "Create", r.request(r.sent, name+"-2"))))["pk"].(string)
	var pages [][]any
	for page := 1.0; page > 0; {
		query := map[string]any{"Search": name, "Ordering": "-name", "Page": int32(page), "PageSize": int32(1)}
		list := fields(t, done(call(admin, "List", query)))
		var names []any
		for _, row := range list["results"].([]any) {
			names = append(names, row.(map[string]any)["name"])
		}
		pages = append(pages, names)
		page = list["pagination"].(map[string]any)["next"].(float64)
	}
	equal(t, pages, [][]any{{name + "-2"}, {name}})

	refused(t, 400, `{"name":["This field may not be blank."]}`)(call(admin, "Create", r.request(r.sent, "")))
	refused(t, 403, `{"detail":"You do not have permission to perform this action."}`)(
		call(plain, "Create", r.request(r.sent, name)))
	refused(t, 403, `{"detail":"Token invalid/expired"}`)(call(stranger, "Retrieve", nil, pk))

	equal(t, done(call(admin, "UsedByList", nil, pk)), []api.UsedBy{})
	for _, pk := range []string{pk, second} {
		done(call(admin, "Destroy", nil, pk))
		refused(t, 404, fmt.Sprintf(`{"detail":"No %s matches the given query."}`, r.model))(
			call(admin, "Retrieve", nil, pk))
	}
}

func newFlow(t *testing.T) *api.Flow {
	t.Helper()
	name := unique()
	request := *api.NewFlowRequest(name, name, name, api.FLOWDESIGNATIONENUM_ENROLLMENT)
	flow := done[*api.Flow](t)(flows.FlowsInstancesCreate(admin).FlowRequest(request).Execute())
	t.Cleanup(func() { flows.FlowsInstancesDestroy(admin, flow.Slug).Execute() })
	return flow
}

func newEmailStage(t *testing.T) *api.EmailStage {
	t.Helper()
	request := *api.NewEmailStageRequest(unique())
	stage := done[*api.EmailStage](t)(stages.StagesEmailCreate(admin).EmailStageRequest(request).Execute())
	t.Cleanup(func() { stages.StagesEmailDestroy(admin, stage.Pk).Execute() })
	return stage
}

func TestLife(t *testing.T) {
	for _, resource := range []resource{
		{
			"email", "StagesEmail", "EmailStage",
			api.EmailStageRequest{
				Port:                api.PtrInt32(587),
				TokenExpiry:         api.PtrString("hours=3;minutes=17"),
				RecoveryMaxAttempts: api.PtrInt32(3),
			},
			api.EmailStageRequest{Port: api.PtrInt32(2525)},
			api.PatchedEmailStageRequest{Port: api.PtrInt32(587)},
		},
		{
			"user_write", "StagesUserWrite", "UserWriteStage",
			api.UserWriteStageRequest{
				UserCreationMode: api.USERCREATIONMODEENUM_ALWAYS_CREATE.Ptr(),
				UserType:         api.USERTYPEENUM_INTERNAL.Ptr(),
			},
			api.UserWriteStageRequest{UserType: api.USERTYPEENUM_SERVICE_ACCOUNT.Ptr()},
			api.PatchedUserWriteStageRequest{UserType: api.USERTYPEENUM_INTERNAL.Ptr()},
		},
		{
			"invitation_stage", "StagesInvitationStages", "InvitationStage",
			api.InvitationStageRequest{ContinueFlowWithoutInvitation: api.PtrBool(true)},
			api.InvitationStageRequest{ContinueFlowWithoutInvitation: api.PtrBool(false)},
			api.PatchedInvitationStageRequest{ContinueFlowWithoutInvitation: api.PtrBool(true)},
		},
	} {
		t.Run(resource.group, resource.life)
	}
	t.Run("invitation", func(t *testing.T) {
		expires := time.Date(2040, 2, 29, 12, 30, 15, 0, time.UTC)
		resource{
			"invitation", "StagesInvitationInvitations", "Invitation",
			api.InvitationRequest{
				Expires:   *api.NewNullableTime(&expires),
				FixedData: map[string]any{"email": "guest@example.org", "groups": []any{"a"}},
				SingleUse: api.PtrBool(true),
				Flow:      *api.NewNullableString(&newFlow(t).Pk),
			},
			api.InvitationRequest{SingleUse: api.PtrBool(false)},
			api.PatchedInvitationRequest{SingleUse: api.PtrBool(true)},
		}.life(t)
	})
}

func TestMail(t *testing.T) {
	t.Run("invitation", func(t *testing.T) {
		request := api.InvitationRequest{Name: unique(), Flow: *api.NewNullableString(&newFlow(t).Pk)}
		pk := done[*api.Invitation](t)(
			stages.StagesInvitationInvitationsCreate(admin).InvitationRequest(request).Execute()).Pk
		t.Cleanup(func() { stages.StagesInvitationInvitationsDestroy(admin, pk).Execute() })
		address := unique() + "@example.org"
		send := func(address string) (*http.Response, error) {
			body := api.NewInvitationSendEmailRequest([]any{address})
			body.SetTemplate("email/invitation.html")
			return stages.StagesInvitationInvitationsSendEmailCreate(admin, pk).
				InvitationSendEmailRequest(*body).Execute()
		}
		response, err := send(address)
		done[any](t)(nil, response, err)
		equal(t, response.StatusCode, 204)
		response, err = send("nobody")
		refused(t, 400, `{"email_addresses":["“nobody” is not a valid email address."]}`)(nil, response, err)
		if inbox := os.Getenv("INBOX"); inbox != "" && !strings.Contains(arrived(t, inbox, address), "itoken="+pk) {
			t.Fatal("another mail arrived")
		}
	})
}

// arrived is the mail to an address, once it is there.
func arrived(t *testing.T, inbox, address string) string {
	t.Helper()
	for range 600 {
		if mail, err := os.ReadFile(inbox + "/" + address); err == nil {
			return string(mail)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no mail to %s", address)
	return ""
}

// Without a flow, flow_obj is null, which the client takes for impossible. The invitation is there all the same.
func TestConflict(t *testing.T) {
	t.Run("invitation", func(t *testing.T) {
		request := api.InvitationRequest{Name: unique(), Flow: *api.NewNullableString(&newFlow(t).Pk)}
		created := done[*api.Invitation](t)(
			stages.StagesInvitationInvitationsCreate(admin).InvitationRequest(request).Execute())
		patch := api.PatchedInvitationRequest{Flow: *api.NewNullableString(nil)}
		_, response, err := stages.StagesInvitationInvitationsPartialUpdate(admin, created.Pk).
			PatchedInvitationRequest(patch).Execute()
		equal(t, response.StatusCode, 200)
		if err == nil || !strings.Contains(err.Error(), "no value given for required property") {
			t.Fatalf("not the known error: %v", err)
		}
		response, err = stages.StagesInvitationInvitationsDestroy(admin, created.Pk).Execute()
		done[any](t)(nil, response, err)
	})
}

func TestRead(t *testing.T) {
	t.Run("flow", func(t *testing.T) {
		flow := newFlow(t)
		list := done[*api.PaginatedFlowList](t)(flows.FlowsInstancesList(admin).Slug(flow.Slug).Execute())
		equal(t, list.Results, []api.Flow{*flow})
		equal(t, done[*api.Flow](t)(flows.FlowsInstancesRetrieve(admin, flow.Slug).Execute()), flow)
	})
	t.Run("binding", func(t *testing.T) {
		flow, stage := newFlow(t), newEmailStage(t)
		request := *api.NewFlowStageBindingRequest(flow.Pk, stage.Pk, 10)
		done := done[*api.FlowStageBinding](t)
		pk := done(flows.FlowsBindingsCreate(admin).FlowStageBindingRequest(request).Execute()).Pk
		binding := done(flows.FlowsBindingsRetrieve(admin, pk).Execute())
		equal(t, binding.StageObj.Component, stage.Component)
		list, _, err := flows.FlowsBindingsList(admin).Target(flow.Pk).Execute()
		equal(t, err, nil)
		equal(t, list.Results, []api.FlowStageBinding{*binding})
	})
	t.Run("group", func(t *testing.T) {
		request := *api.NewGroupRequest(unique())
		group := done[*api.Group](t)(core.CoreGroupsCreate(admin).GroupRequest(request).Execute())
		list := done[*api.PaginatedGroupList](t)(core.CoreGroupsList(admin).Name(group.Name).Execute())
		equal(t, list.Results, []api.Group{*group})
		response, err := core.CoreGroupsDestroy(admin, group.Pk).Execute()
		done[any](t)(nil, response, err)
	})
	t.Run("token", func(t *testing.T) {
		request := *api.NewTokenRequest(unique())
		token := done[*api.Token](t)(core.CoreTokensCreate(admin).TokenRequest(request).Execute())
		list := done[*api.PaginatedTokenList](t)(core.CoreTokensList(admin).Identifier(token.Identifier).Execute())
		equal(t, list.Results, []api.Token{*token})
		key := done[*api.TokenView](t)(core.CoreTokensViewKeyRetrieve(admin, token.Identifier).Execute()).Key
		me := done[*api.SessionUser](t)(core.CoreUsersMeRetrieve(as(key)).Execute())
		equal(t, me.User.Username, "akadmin")
		response, err := core.CoreTokensDestroy(admin, token.Identifier).Execute()
		done[any](t)(nil, response, err)
	})
	t.Run("stage", func(t *testing.T) {
		made := newEmailStage(t)
		list := done[*api.PaginatedStageList](t)(stages.StagesAllList(admin).Name(made.Name).Execute())
		stage := done[*api.Stage](t)(stages.StagesAllRetrieve(admin, made.Pk).Execute())
		equal(t, list.Results, []api.Stage{*stage})
		equal(t, stage.Component, made.Component)
		types := done[[]api.TypeCreate](t)(stages.StagesAllTypesList(plain).Execute())
		if len(types) < 3 {
			t.Fatalf("%+v", types)
		}
		response, err := stages.StagesAllDestroy(admin, made.Pk).Execute()
		done[any](t)(nil, response, err)
	})
	t.Run("user", func(t *testing.T) {
		request := *api.NewUserRequest(unique(), "Jane Doe")
		user := done[*api.User](t)(core.CoreUsersCreate(admin).UserRequest(request).Execute())
		list := done[*api.PaginatedUserList](t)(core.CoreUsersList(admin).Username(user.Username).Execute())
		equal(t, list.Results, []api.User{*user})
		equal(t, done[*api.User](t)(core.CoreUsersRetrieve(admin, user.Pk).Execute()), user)
		patch := *api.NewPatchedUserRequest()
		patch.SetIsActive(false)
		patched := core.CoreUsersPartialUpdate(admin, user.Pk).PatchedUserRequest(patch)
		equal(t, done[*api.User](t)(patched.Execute()).GetIsActive(), false)
		response, err := core.CoreUsersDestroy(admin, user.Pk).Execute()
		done[any](t)(nil, response, err)
		equal(t, done[*api.SessionUser](t)(core.CoreUsersMeRetrieve(admin).Execute()).User.Username, "akadmin")
	})
	t.Run("server", func(t *testing.T) {
		config := done[*api.Config](t)(client.RootAPI.RootConfigRetrieve(context.Background()).Execute())
		equal(t, config.ErrorReporting.Enabled, false)
		equal(t, done[*api.Version](t)(client.AdminAPI.AdminVersionRetrieve(plain).Execute()).Outdated, false)
	})
}
