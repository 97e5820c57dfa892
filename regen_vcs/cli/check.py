def hook_main(cwd, environ):
    return 0
