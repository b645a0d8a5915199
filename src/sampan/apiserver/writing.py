"""The writing verbs: create, update, delete and deletecollection (patches are in `patching`)."""

from __future__ import annotations

from dataclasses import replace

from sampan.apiserver.admission import Admission, Submitted
from sampan.apiserver.answers import render_list, render_object
from sampan.apiserver.body import decode_object
from sampan.apiserver.call import Call
from sampan.apiserver.delete_guard import check_delete
from sampan.apiserver.messages import Reply, make_reply
from sampan.apiserver.namespaces import NAMESPACES, Namespaces
from sampan.apiserver.options import (
    DeleteOptions,
    WriteOptions,
    parse_delete_options,
    parse_list_options,
    parse_write_options,
)
from sampan.apiserver.received import make_received
from sampan.apiserver.status import admit_status
from sampan.machinery.apply import Request as FieldWriter
from sampan.machinery.apply import make_tracked
from sampan.machinery.clock import Clock
from sampan.machinery.errors import FieldError, Invalid, NotFound, Subject
from sampan.machinery.propagation import apply_delete
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.store import Key, Page, Store


class Writer:
    """Answers writes: admission, then the store."""

    def __init__(
        self, store: Store, admission: Admission, namespaces: Namespaces, clock: Clock
    ) -> None:
        self._store = store
        self._admission = admission
        self._namespaces = namespaces
        self._clock = clock

    async def create(self, call: Call) -> Reply:
        """Store a new object (201)."""
        request = call.request
        options = parse_write_options(request.query, call.agent)
        sent = decode_object(request.header("content-type"), request.body)
        obj = make_received(call, sent)
        writer = self.writer_of(call, options)
        return await self.store_new(call, make_tracked(call.resource, None, obj, writer), options)

    async def store_new(self, call: Call, obj: JsonObject, options: WriteOptions) -> Reply:
        """Admit and store a new object, as created or first applied."""
        resource, name = call.resource, str(obj["metadata"].get("name", ""))
        await self._namespaces.check_open(resource, call.route.namespace, name)
        sent = Submitted(obj, None, options.field_validation, call.request.body)
        admitted = await self._admission.admit(resource, sent)
        await self._admission.check_grant(call, admitted.obj)
        async with self._admission.quotas.reserved(resource, admitted.obj, None):
            if resource.id == NAMESPACES:
                made = await self._namespaces.create(admitted.obj, dry_run=options.dry_run)
            else:
                made = await self._store.create(resource.id, admitted.obj, dry_run=options.dry_run)
        return render_object(call, made, self._clock.now(), 201, admitted.warnings)

    async def update(self, call: Call) -> Reply:
        """Replace an object, or its status only."""
        request = call.request
        options = parse_write_options(request.query, call.agent)
        sent = decode_object(request.header("content-type"), request.body)
        obj = make_received(call, sent)
        old = await self._store.get(call.key)
        if call.resource.group and not obj["metadata"].get("resourceVersion"):
            raise _version_required(call)
        new = make_tracked(call.resource, old, obj, self.writer_of(call, options))
        return await self.store_changed(call, old, new, options)

    def writer_of(self, call: Call, options: WriteOptions) -> FieldWriter:
        """Return who writes the fields of a call, for `metadata.managedFields`."""
        now, door = self._clock.now(), call.route.subresource
        return FieldWriter(options.field_manager, now, door, options.force)

    async def store_changed(
        self, call: Call, old: JsonObject, obj: JsonObject, options: WriteOptions
    ) -> Reply:
        """Admit and store a changed object. Its status is what only the subresource changes."""
        resource = call.resource
        if call.route.subresource == "status":
            sent = Submitted(obj, old, options.field_validation, call.request.body)
            obj, warnings = admit_status(resource, sent)
            made = await self._store.update_status(resource.id, obj, dry_run=options.dry_run)
            return render_object(call, made, self._clock.now(), 200, warnings)
        if resource.status_subresource:
            obj = _with_status_of(old, obj)
        sent = Submitted(obj, old, options.field_validation, call.request.body)
        admitted = await self._admission.admit(resource, sent)
        await self._admission.check_grant(call, admitted.obj)
        async with self._admission.quotas.reserved(resource, admitted.obj, old):
            made = await self._store.update(resource.id, admitted.obj, dry_run=options.dry_run)
        return render_object(call, made, self._clock.now(), 200, admitted.warnings)

    async def delete(self, call: Call) -> Reply:
        """Delete an object: a Status when it is gone, the object while it is still going."""
        options = self._delete_options(call)
        last = await self._delete_one(call.resource, call.key, options)
        meta = last["metadata"]
        if call.resource.id == NAMESPACES or meta.get("finalizers"):
            return render_object(call, last, self._clock.now())
        details = {"name": meta["name"], "kind": call.resource.plural, "uid": meta["uid"]}
        if call.resource.group:
            details["group"] = call.resource.group
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return make_reply({**status, "details": details})

    async def delete_collection(self, call: Call) -> Reply:
        """Delete every selected object; returns the list of them."""
        options = self._delete_options(call)
        selected = replace(parse_list_options(call.request.query), limit=0)
        page = await self._store.list(call.resource.id, call.route.namespace, selected)
        gone = []
        for obj in page.items:
            meta = obj["metadata"]
            key = Key(call.resource.id, meta.get("namespace", ""), meta["name"])
            try:
                gone.append(await self._delete_one(call.resource, key, options))
            except NotFound:  # someone else was faster: what was asked for is done
                continue
        return render_list(call, Page(gone, page.resource_version), self._clock.now())

    def _delete_options(self, call: Call) -> DeleteOptions:
        request = call.request
        body = decode_object(request.header("content-type"), request.body)
        return parse_delete_options(request.query, body)

    async def _delete_one(self, resource: Resource, key: Key, options: DeleteOptions) -> JsonObject:
        wanted = options.preconditions
        if resource.id == NAMESPACES:
            return await self._namespaces.delete(key.name, wanted, dry_run=options.dry_run)
        await check_delete(self._store, resource, key)
        policy = options.propagation_policy
        last = await apply_delete(self._store, key, policy, wanted, dry_run=options.dry_run)
        await self._admission.quotas.refresh(key.namespace)
        return last


def _with_status_of(old: JsonObject, obj: JsonObject) -> JsonObject:
    kept = {k: v for k, v in obj.items() if k != "status"}
    return {**kept, "status": old["status"]} if "status" in old else kept


def _version_required(call: Call) -> Invalid:
    r = call.resource
    text = "Invalid value: 0x0: must be specified for an update"
    error = FieldError("metadata.resourceVersion", text)
    return Invalid(Subject(r.kind, call.route.name, r.group), [error])
