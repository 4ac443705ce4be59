"""The kernel: contract, dispatch, delivery, sign-in and limits. It knows no noun."""
