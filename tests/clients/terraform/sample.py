"""What the configuration of examples/terraform says, as the API has to show it."""

State = dict[str, dict]  # what Terraform knows of its resources, by address
Objects = dict[str, tuple[str, dict]]  # by group of operations: a path of the API, and fields that it shows


def objects(state: State, name: str) -> Objects:
    """The sample's objects, given what they are called. Their keys are those of the state."""
    flow = key(state, "authentik_flow.enrollment", "uuid")
    last = key(state, 'authentik_flow_stage_binding.enrollment["20"]')
    role = key(state, "authentik_rbac_role.hosts")
    return {
        "flow": (
            f"flows/instances/{name}/",
            {
                "pk": flow,
                "name": name,
                "title": "Welcome",
                "designation": "enrollment",
                "authentication": "require_unauthenticated",
                "background": "/static/dist/assets/images/flow_background.jpg",
            },
        ),
        "binding": (
            f"flows/bindings/{last}/",
            {
                "target": flow,
                "stage": key(state, "authentik_stage_email.confirm"),
                "order": 20,
                "evaluate_on_plan": True,
                "re_evaluate_policies": False,
            },
        ),
        "group_guests": (
            f"core/groups/{key(state, 'authentik_group.guests')}/",
            {"name": name, "attributes": {"invited": True}, "is_superuser": False, "users": [], "roles": []},
        ),
        "group_hosts": (
            f"core/groups/{key(state, 'authentik_group.hosts')}/",
            {"name": f"{name}-hosts", "roles": [role], "attributes": {}},
        ),
        "server_role": (f"rbac/roles/{role}/", {"name": f"{name}-hosts"}),
    } | stages(state, name)


def stages(state: State, name: str) -> Objects:
    return {
        "invitation_stage": (
            f"stages/invitation/stages/{key(state, 'authentik_stage_invitation.invited')}/",
            {"name": f"{name}-invited", "continue_flow_without_invitation": False},
        ),
        "user_write": (
            f"stages/user_write/{key(state, 'authentik_stage_user_write.write')}/",
            {
                "name": f"{name}-write",
                "user_creation_mode": "always_create",
                "user_path_template": f"users/{name}",
                "user_type": "external",
                "create_users_as_inactive": True,
                "create_users_group": key(state, "authentik_group.guests"),
            },
        ),
        "email": (
            f"stages/email/{key(state, 'authentik_stage_email.confirm')}/",
            {
                "name": f"{name}-confirm",
                "use_global_settings": True,
                "template": "email/account_confirmation.html",
                "subject": "Confirm your address",
                "token_expiry": "hours=2",
                "activate_user_on_success": True,
            },
        ),
    }


def key(state: State, address: str, field: str = "id") -> str:
    return state.get(address, {}).get(field, "")
